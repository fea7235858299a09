"""Group relative policy optimisation with named rewards and a hint policy (METHOD 1.2 to 1.8)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from c2f_spec.spec.base import SpecModel
from c2f_spec.spec.sections import Fraction, Full, Tuner


class FormatReward(SpecModel):
    """1 if the whole answer has the format, else 0 (paper, eq. 3)."""

    weight: NonNegativeFloat = Field(default=1.0, description="Weight in the total (paper: 1).")


class PolarityReward(SpecModel):
    """1 if the polarity is the label's, else 0 (paper, eq. 4)."""

    weight: NonNegativeFloat = Field(default=1.0, description="Weight in the total (paper: 1).")


class ScoreReward(SpecModel):
    """How near the score is to the label, if the gate is open (paper, eq. 5; the formula is not preserved)."""

    weight: NonNegativeFloat = Field(default=1.0, description="Weight in the total (paper: 1).")
    shape: Literal["linear_range", "linear_width", "gaussian", "binary_tol"] = Field(
        default="linear_range", description="Reward against the error. Not in the paper."
    )
    width: PositiveFloat | None = Field(
        default=None,
        description="Width of the shape in score units; `linear_range` takes the data set's range.",
    )
    gate: Literal["tag", "tag_and_sign", "sign", "none"] = Field(
        default="tag", description="What must be right for any reward (paper: consistent polarity)."
    )
    out_of_range: Literal["zero", "clip", "as_is"] = Field(
        default="zero", description="A score outside the annotations' range. Not in the paper."
    )

    @model_validator(mode="after")
    def _width_belongs_to_shape(self) -> ScoreReward:
        if (self.shape == "linear_range") != (self.width is None):
            raise ValueError("`width` is needed by every shape but `linear_range`, and by that one not taken")
        return self


class Rewards(SpecModel):
    """The rewards that are summed, by name. A reward is on if it is named."""

    format: FormatReward | None = Field(default=None, description="Well-formed answers.")
    polarity: PolarityReward | None = Field(default=None, description="Right polarities.")
    score: ScoreReward | None = Field(default=None, description="Near scores.")


REWARD_NAMES: tuple[str, ...] = ("format", "polarity", "score")


def _auto(value: Any) -> Any:
    return None if value == "auto" else value


class AllBelow(SpecModel):
    """A sample is hard if the rewards of all its answers lie below the threshold (paper, section on hints)."""

    kind: Literal["all_below"] = "all_below"
    threshold: Annotated[float | None, BeforeValidator(_auto)] = Field(
        default=None,
        description="A total reward, or `auto`: the weights of format and polarity together. Not in the paper.",
    )


class ReplaceAll(SpecModel):
    """The whole group of a hard sample is generated again with the hint."""

    kind: Literal["replace_all"] = "replace_all"


class Hint(SpecModel):
    """What happens to hard samples: the true polarity is put at the start of the answer, and the model goes on."""

    hard_policy: Literal["hint", "keep", "drop"] = Field(
        default="hint", description="`hint`; `keep` them as they are (w/o Hint); `drop` them (w/o Hard)."
    )
    trigger: AllBelow = Field(default=AllBelow(), description="When a sample is hard.")
    prefix_end: Literal["after_polarity", "after_think_open"] = Field(
        default="after_polarity", description="How much of the answer the hint writes. Not in the paper."
    )
    group: ReplaceAll = Field(default=ReplaceAll(), description="What becomes of the group.")


class Grpo(SpecModel):
    """Reinforcement learning from the fine-tuned model (METHOD 1.7); reference model = the model it starts from."""

    epochs: PositiveFloat = Field(default=1, description="Passes over the training clips. Not in the paper.")
    steps: PositiveInt | None = Field(default=None, description="Stop after so many optimiser steps instead.")
    batch: PositiveInt = Field(
        default=16, description="Clips an optimiser step, over all GPUs. Not in the paper."
    )
    generations: Annotated[int, Field(ge=2)] = Field(default=4, description="Answers a clip, G (paper: 4).")
    beta: NonNegativeFloat = Field(default=0.1, description="Weight of the KL divergence (paper: 0.1).")
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Clip range. Not in the paper."
    )
    loss_type: Literal["grpo", "dapo", "dr_grpo"] = Field(
        default="grpo", description="Reduction of the loss."
    )
    scale: Literal["group", "batch", "none"] = Field(
        default="group", description="Whose standard deviation divides the advantage (paper: the group's)."
    )
    learning_rate: PositiveFloat = Field(default=1e-5, description="Peak learning rate (paper: 1e-5).")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="Decay (paper: cosine)."
    )
    warmup: Fraction = Field(
        default=0.05, description="Share of the steps spent warming up. Not in the paper."
    )
    grad_clip: PositiveFloat = Field(default=1.0, description="Largest gradient norm. Not in the paper.")
    temperature: PositiveFloat = Field(default=1.0, description="Of the answers' sampling. Not in the paper.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(default=1.0, description="Nucleus. Not in the paper.")
    max_new_tokens: PositiveInt = Field(
        default=512, description="Longest answer, in tokens. Not in the paper."
    )
    tuner: Tuner = Field(default=Full(), description="`full`, or `lora`.")
    rewards: Rewards = Field(
        default=Rewards(format=FormatReward(), polarity=PolarityReward(), score=ScoreReward()),
        description="Named rewards and their weights.",
    )
    hint: Hint = Field(default=Hint(), description="What happens to hard samples.")
