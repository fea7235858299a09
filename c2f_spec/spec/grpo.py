"""Group relative policy optimisation with named rewards and a hint policy (METHOD 1.2 to 1.8)."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from c2f_spec.spec.base import Fraction, SpecModel, at_default
from c2f_spec.spec.evaluate import Engine, TransformersEngine
from c2f_spec.spec.hint import Hint
from c2f_spec.spec.student import Full, Tuner


class PlainReward(SpecModel):
    """A reward with a weight and no other field."""

    weight: NonNegativeFloat = Field(default=1.0, description="Weight in the total (paper: 1).")


class FormatReward(PlainReward):
    """1 if the whole answer has the format, else 0 (paper, eq. 3)."""

    require_sections: bool = Field(
        default=False, description="Also ask for the four numbered parts (paper: the tags only)."
    )


class PolarityReward(PlainReward):
    """1 if the polarity is the label's, else 0 (paper, eq. 4)."""


class ScoreReward(PlainReward):
    """How near the score is to the label, if the gate is open (paper, eq. 5; the formula is not preserved)."""

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
    def _width_belongs_to_shape(self) -> Self:
        if (self.shape == "linear_range") != (self.width is None):
            raise ValueError("`width` is needed by every shape but `linear_range`, and by that one not taken")
        return self


class Rewards(SpecModel):
    """The rewards that are summed, by name. A reward is on if it is named."""

    # `runtime/rewards/<name>.py` computes each; one without fields of its own is a `PlainReward`.
    format: FormatReward | None = Field(default=None, description="Well-formed answers.")
    polarity: PolarityReward | None = Field(default=None, description="Right polarities.")
    score: ScoreReward | None = Field(default=None, description="Near scores.")

    def named(self) -> dict[str, Any]:
        """Return the rewards that the spec names, by field; each has a `weight`, which may be 0."""
        return {name: reward for name, reward in self if reward is not None}

    def active(self) -> dict[str, Any]:
        """Return the named rewards with a weight above 0: those that enter the total."""
        return {name: reward for name, reward in self.named().items() if reward.weight > 0}

    def threshold_range(self) -> tuple[float, float]:
        """Return the totals `(low, high]` by which a threshold separates wrong groups from right ones (METHOD 1.8).

        `low` is the most that a well-formed answer of the wrong polarity earns, where the score is gated by the
        polarity; `high` is the least that a well-formed answer of the right polarity earns, and what `auto` stands for.
        Needs the rewards `format` and `polarity`.
        """
        assert self.format is not None
        assert self.polarity is not None
        others = sum(r.weight for n, r in self.active().items() if n not in ("format", "polarity", "score"))
        return self.format.weight + others, self.format.weight + self.polarity.weight


REWARD_NAMES: tuple[str, ...] = tuple(Rewards.model_fields)


class Grpo(SpecModel):
    """Reinforcement learning from the fine-tuned model (METHOD 1.7); reference model = the model it starts from."""

    epochs: PositiveFloat = Field(default=1, description="Passes over the training clips. Not in the paper.")
    steps: PositiveInt | None = Field(default=None, description="Stop after so many optimiser steps instead.")
    batch: PositiveInt = Field(
        default=16, description="Clips an optimiser step, over all GPUs. Not in the paper."
    )
    generations: Annotated[int, Field(ge=2)] = Field(default=4, description="Answers a clip, G (paper: 4).")
    beta: NonNegativeFloat = Field(default=0.1, description="Weight of the KL divergence (paper: 0.1).")
    reference: Literal["start", "base"] = Field(
        default="start",
        description="What the KL divergence is measured to: the model it starts from, or the untouched student. Not "
        "in the paper.",
    )
    kl: Literal["estimate", "corrected"] = Field(
        default="estimate",
        description="Gradient of the KL divergence: that of its estimate, as in GRPO, or with the ratio of probabilities "
        "before it, which takes out the bias; TRL's default. Not in the paper.",
    )
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.2, description="Clip range. Not in the paper."
    )
    epsilon_high: PositiveFloat | None = Field(
        default=None, description="Upper clip range, where it differs (DAPO: 0.28). Not in the paper."
    )
    updates: PositiveInt = Field(
        default=1, description="Optimiser steps on each batch of answers, mu. Not in the paper."
    )
    loss_type: Literal["grpo", "dapo", "dr_grpo"] = Field(
        default="grpo", description="Reduction of the loss (paper: GRPO's)."
    )
    scale: Literal["group", "batch", "none"] = Field(
        default="group",
        description="Whose standard deviation divides the advantage (paper, advantage: the group's).",
    )
    std: Literal["unbiased", "population"] = Field(
        default="unbiased", description="Which standard deviation; TRL's. Not in the paper."
    )
    std_eps: PositiveFloat = Field(
        default=1e-4, description="Added to the standard deviation; TRL's. Not in the paper."
    )
    aggregate: Literal["sum_then_normalise", "normalise_then_sum"] = Field(
        default="sum_then_normalise",
        description="Whether rewards are added before they are normalised (paper, eq. 2), or each by itself.",
    )
    learning_rate: PositiveFloat = Field(default=1e-5, description="Peak learning rate (paper: 1e-5).")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="Decay (paper: cosine)."
    )
    warmup: Fraction = Field(
        default=0.05, description="Share of the steps spent warming up. Not in the paper."
    )
    weight_decay: NonNegativeFloat = Field(default=0.0, description="AdamW's. Not in the paper.")
    grad_clip: PositiveFloat = Field(default=1.0, description="Largest gradient norm. Not in the paper.")
    temperature: NonNegativeFloat = Field(
        default=1.0, description="Of the answers' sampling. Not in the paper."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(default=1.0, description="Nucleus. Not in the paper.")
    top_k: NonNegativeInt = Field(
        default=0, description="Sample from so many tokens; 0: all. Not in the paper."
    )
    max_prompt_tokens: PositiveInt | None = Field(
        default=None,
        description="Longest prompt; a longer one is an error, never cut, because it would lose frames or sound; "
        "absent: as long as the student takes. Not in the paper.",
    )
    max_new_tokens: PositiveInt = Field(
        default=512,
        description="Longest answer, in tokens that are generated; a hint is not counted. Not in the paper.",
    )
    engine: Engine = Field(
        default=at_default(TransformersEngine), description="What generates the answers. Not in the paper."
    )
    select: Literal["last", "best_valid"] = Field(
        default="last",
        description="Which checkpoint is the result: the last, or the one with the least MAE on the validation split. "
        "Not in the paper.",
    )
    tuner: Tuner = Field(default=at_default(Full), description="`full`, or `lora`. Not in the paper.")
    rewards: Rewards = Field(
        default=at_default(
            Rewards,
            format=at_default(FormatReward),
            polarity=at_default(PolarityReward),
            score=at_default(ScoreReward),
        ),
        description="Named rewards and their weights (paper, eq. 2: their weighted sum).",
    )
    hint: Hint = Field(default=at_default(Hint), description="What happens to hard samples.")
