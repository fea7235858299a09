"""The model that is trained, what of a clip it sees, and which of its weights are trained (METHOD 8.2)."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from c2f_spec.spec.base import PLACEMENT, Fraction, Named, Revision, SpecModel

Tower = Literal["vision", "audio"]
Attention = Literal["auto", "flash_attention_2", "sdpa", "eager"]


class Media(SpecModel):
    """Limits on what a clip costs in tokens; the same in SFT, GRPO and evaluation (METHOD 8.2)."""

    fps: PositiveFloat = Field(default=2.0, description="Frames taken per second of video. Not in the paper.")
    max_frames: PositiveInt = Field(default=16, description="Most frames of a clip. Not in the paper.")
    max_pixels: PositiveInt = Field(
        default=128 * 28 * 28,
        description="Most pixels of a frame; larger ones are scaled down. Not in the paper.",
    )
    min_pixels: PositiveInt | None = Field(
        default=None,
        description="Fewest pixels of a frame; smaller ones are scaled up; absent: never. Not in the paper.",
    )
    audio: Literal["item", "in_video"] = Field(
        default="item",
        description="Whether sound is an item of its own in the prompt, or interleaved with the frames, which vLLM "
        "cannot do. Not in the paper.",
    )
    decoder: Literal["decord", "torchcodec", "av"] = Field(
        default="decord",
        description="What decodes frames; they differ in which frame is taken. Not in the paper.",
    )


class QwenOmni(SpecModel):
    """A Qwen2.5-Omni thinker with released weights (paper: Qwen2.5-Omni-7B)."""

    kind: Literal["qwen_omni"] = "qwen_omni"
    model: str = Field(
        description="Repository of the weights.", json_schema_extra={"examples": ["Qwen/Qwen2.5-Omni-7B"]}
    )
    revision: Revision = Field(description="Full commit hash of the weights.")
    frozen: tuple[Tower, ...] = Field(
        default=("vision", "audio"),
        description="Towers that no tuner trains, each with its aligner; the talker is never loaded. Not in the paper.",
    )
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="Of training; `auto` is bfloat16 on a GPU, else float32. Not in the paper.",
    )
    max_length: PositiveInt = Field(
        default=32_768, description="Most tokens of prompt and answer together, as the weights allow."
    )
    attention: Attention = Field(
        default="auto",
        description="Implementation of attention: the same sums in another order.",
        json_schema_extra=PLACEMENT,
    )


class Tiny(SpecModel):
    """A Qwen2.5-Omni thinker of a few hundred thousand random weights, for demonstrations on a CPU."""

    kind: Literal["tiny"] = "tiny"
    hidden: Annotated[int, Field(ge=32, le=512, multiple_of=32)] = Field(
        default=64, description="Width of the text model."
    )
    layers: Annotated[int, Field(ge=1, le=8)] = Field(default=2, description="Layers of the text model.")


TINY_MAX_LENGTH = 4096
"""Positions of the tiny student's text model."""


def positions(student: QwenOmni | Tiny) -> int:
    """Return the most tokens of prompt and answer together."""
    return student.max_length if isinstance(student, QwenOmni) else TINY_MAX_LENGTH


Student = Annotated[QwenOmni | Tiny, Field(discriminator="kind"), Named("qwen_omni")]


class Full(SpecModel):
    """Train every weight of the text model."""

    kind: Literal["full"] = "full"


Linear = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Lora(SpecModel):
    """Train low-rank adapters on linear layers of the text model, merged before anything reads the result."""

    kind: Literal["lora"] = "lora"
    rank: PositiveInt = Field(default=64, description="Rank of the adapters. Not in the paper.")
    alpha: PositiveInt = Field(default=128, description="Scale of the adapters. Not in the paper.")
    dropout: Fraction = Field(default=0.0, description="Dropout of the adapters' input. Not in the paper.")
    layers: Annotated[tuple[Linear, ...], Field(min_length=1)] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="Linear layers that get adapters, in every layer of the text model. Not in the paper.",
    )


Tuner = Annotated[Full | Lora, Field(discriminator="kind"), Named("full")]
