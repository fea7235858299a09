"""The sections of a spec up to supervised fine-tuning: data, format, media, student, teacher, tuner, sft.

Defaults are the paper's where it gives one (METHOD 8.1); "not in the paper" in a description marks ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from c2f_spec.spec.base import Revision, SpecModel

Fraction = Annotated[float, Field(ge=0, le=1)]


class Limit(SpecModel):
    """At most so many clips of each split, the same ones each time; absent means all."""

    train: PositiveInt | None = Field(default=None, description="Clips of the training split.")
    valid: PositiveInt | None = Field(default=None, description="Clips of the validation split.")
    test: PositiveInt | None = Field(default=None, description="Clips of each test split.")


class Data(SpecModel):
    """What is trained on, and how much of it."""

    train: str = Field(description="Name of the data set that teacher, SFT and GRPO see.")
    limit: Limit = Field(default=Limit(), description="At most so many clips of each split.")
    render_seed: NonNegativeInt | None = Field(
        default=None,
        description="Seed of the drawn voice and face; only for data sets whose media are rendered.",
    )


class C2f(SpecModel):
    """Coarse to fine: polarity, then a chain of thought, then the score (paper, Fig. 4)."""

    kind: Literal["c2f"] = "c2f"
    language: Literal["dataset", "en", "zh"] = Field(
        default="dataset",
        description="Language of the prompt; `dataset` follows the clip's data set. Not in the paper.",
    )
    label_decimals: Annotated[int, Field(ge=0, le=4)] = Field(
        default=1, description="Decimals of the score in targets. Not in the paper."
    )


class Dc(SpecModel):
    """Discrimination-calibration, as the paper's first version calls the same two steps; tag names are fields."""

    kind: Literal["dc"] = "dc"
    language: Literal["dataset", "en", "zh"] = Field(default="dataset", description="Language of the prompt.")
    label_decimals: Annotated[int, Field(ge=0, le=4)] = Field(
        default=1, description="Decimals of the score in targets. Not in the paper."
    )
    polarity_tag: Annotated[str, Field(pattern="^[a-z_]+$")] = Field(
        default="discrimination", description="Tag around the polarity. Not in the paper."
    )
    think_tag: Annotated[str, Field(pattern="^[a-z_]+$")] = Field(
        default="think", description="Tag around the chain of thought. Not in the paper."
    )
    score_tag: Annotated[str, Field(pattern="^[a-z_]+$")] = Field(
        default="calibration", description="Tag around the score. Not in the paper."
    )


class Direct(SpecModel):
    """The black-box baseline: the answer is the score and nothing else."""

    kind: Literal["direct"] = "direct"
    language: Literal["dataset", "en", "zh"] = Field(default="dataset", description="Language of the prompt.")
    label_decimals: Annotated[int, Field(ge=0, le=4)] = Field(
        default=1, description="Decimals of the score in targets. Not in the paper."
    )


def _named(default: str) -> Any:
    """`x: name` is short for `x: {kind: name}`, and a map without `kind` is of the default kind."""

    def expand(value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value:
            return {"kind": default, **value}
        return value

    return BeforeValidator(expand)


Format = Annotated[C2f | Dc | Direct, Field(discriminator="kind"), _named("c2f")]


class Media(SpecModel):
    """Limits on what a clip costs in tokens; the same in SFT, GRPO and evaluation (METHOD 8.2)."""

    fps: PositiveFloat = Field(default=2.0, description="Frames taken per second of video. Not in the paper.")
    max_frames: PositiveInt = Field(default=16, description="Most frames of a clip. Not in the paper.")
    max_pixels: PositiveInt = Field(
        default=128 * 28 * 28,
        description="Most pixels of a frame; larger ones are scaled down. Not in the paper.",
    )


class QwenOmni(SpecModel):
    """A Qwen2.5-Omni thinker with released weights."""

    kind: Literal["qwen_omni"] = "qwen_omni"
    model: str = Field(description="Repository of the weights, for example `Qwen/Qwen2.5-Omni-7B`.")
    revision: Revision = Field(description="Full commit hash of the weights.")


class Tiny(SpecModel):
    """A Qwen2.5-Omni thinker of a few hundred thousand random weights, for demonstrations on a CPU."""

    kind: Literal["tiny"] = "tiny"
    hidden: Annotated[int, Field(ge=32, le=512, multiple_of=32)] = Field(
        default=64, description="Width of the text model."
    )
    layers: Annotated[int, Field(ge=1, le=8)] = Field(default=2, description="Layers of the text model.")


Student = Annotated[QwenOmni | Tiny, Field(discriminator="kind"), _named("qwen_omni")]


class TransformersTeacher(SpecModel):
    """An omni model run by transformers inside the stage."""

    kind: Literal["transformers"] = "transformers"
    model: str = Field(description="Repository of the weights.")
    revision: Revision = Field(description="Full commit hash of the weights.")
    samples: PositiveInt = Field(default=1, description="Chains asked for each clip. Not in the paper.")
    temperature: Annotated[float, Field(ge=0)] = Field(
        default=0.7, description="Sampling temperature. Not in the paper."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(default=0.95, description="Nucleus. Not in the paper.")
    max_new_tokens: PositiveInt = Field(
        default=768, description="Longest reply, in tokens. Not in the paper."
    )
    seed: NonNegativeInt = Field(default=42, description="Seed of the teacher's sampling.")


class LexiconTeacher(SpecModel):
    """Demo only: VADER on the words, pitch and energy of the voice, the mouth of the face. It never sees the label."""

    kind: Literal["lexicon"] = "lexicon"


Teacher = Annotated[TransformersTeacher | LexiconTeacher, Field(discriminator="kind"), _named("transformers")]


class Full(SpecModel):
    """Train every weight of the text model."""

    kind: Literal["full"] = "full"


class Lora(SpecModel):
    """Train low-rank adapters on all linear layers of the text model, merged before anything reads the result."""

    kind: Literal["lora"] = "lora"
    rank: PositiveInt = Field(default=64, description="Rank of the adapters. Not in the paper.")
    alpha: PositiveInt = Field(default=128, description="Scale of the adapters. Not in the paper.")


Tuner = Annotated[Full | Lora, Field(discriminator="kind"), _named("full")]


class Sft(SpecModel):
    """Cold start: supervised fine-tuning on the kept chains (paper, eq. 1); loss on the answer's tokens only."""

    epochs: PositiveFloat = Field(default=3, description="Passes over the kept chains. Not in the paper.")
    steps: PositiveInt | None = Field(default=None, description="Stop after so many optimiser steps instead.")
    batch: PositiveInt = Field(
        default=32, description="Chains an optimiser step, over all GPUs. Not in the paper."
    )
    learning_rate: PositiveFloat = Field(default=1e-5, description="Peak learning rate (paper: 1e-5).")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="Decay of the rate."
    )
    warmup: Fraction = Field(
        default=0.05, description="Share of the steps spent warming up. Not in the paper."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.01, description="AdamW's. Not in the paper."
    )
    grad_clip: PositiveFloat = Field(default=1.0, description="Largest gradient norm. Not in the paper.")
    tuner: Tuner = Field(default=Full(), description="`full`, or `lora`.")
