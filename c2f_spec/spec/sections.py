"""The sections of a spec up to supervised fine-tuning. Format, student and teacher have modules of their own.

Defaults are the paper's where it gives one (METHOD 8.1); a description that ends with "Not in the paper." marks ours.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from c2f_spec.spec.base import Fraction, SpecModel, at_default
from c2f_spec.spec.datasets import DATASETS, Dataset, Own
from c2f_spec.spec.formats import C2f, Dc, Direct, Format
from c2f_spec.spec.student import Full, Lora, Media, QwenOmni, Student, Tiny, Tuner
from c2f_spec.spec.teacher import LexiconTeacher, OpenaiTeacher, Teacher, TransformersTeacher, VllmTeacher

__all__ = [
    "C2f",
    "Data",
    "Dc",
    "Direct",
    "Format",
    "Full",
    "LexiconTeacher",
    "Limit",
    "Lora",
    "Media",
    "OpenaiTeacher",
    "Own",
    "QwenOmni",
    "Sft",
    "Student",
    "Teacher",
    "Tiny",
    "TransformersTeacher",
    "Tuner",
    "VllmTeacher",
]


class Limit(SpecModel):
    """At most so many clips of each split, the same ones each time; absent means all."""

    train: PositiveInt | None = Field(default=None, description="Clips of the training split.")
    valid: PositiveInt | None = Field(default=None, description="Clips of the validation split.")
    test: PositiveInt | None = Field(default=None, description="Clips of each test split.")


class Data(SpecModel):
    """The training data, and how much of it."""

    train: str = Field(
        description="Name of the data set that teacher, SFT and GRPO see.",
        json_schema_extra={"examples": ["ch-sims", "cmu-mosi"]},
    )
    limit: Limit = Field(default=at_default(Limit), description="At most so many clips of each split.")
    render_seed: NonNegativeInt | None = Field(
        default=None,
        description="Seed of the drawn voice and face; only for data sets whose media are rendered.",
    )
    own: tuple[Own, ...] = Field(
        default=(), description="User data sets, each with a name that the rest of the spec may use."
    )

    @property
    def known(self) -> Mapping[str, Dataset]:
        """Return every data set that this spec may name."""
        return {**DATASETS, **{one.name: one.facts for one in self.own}} if self.own else DATASETS


class Sft(SpecModel):
    """Cold start: supervised fine-tuning on the kept chains (paper, eq. 1); loss on the answer's tokens only."""

    epochs: PositiveFloat = Field(default=3, description="Passes over the kept chains. Not in the paper.")
    steps: PositiveInt | None = Field(default=None, description="Stop after so many optimiser steps instead.")
    batch: PositiveInt = Field(
        default=32, description="Chains an optimiser step, over all GPUs. Not in the paper."
    )
    learning_rate: PositiveFloat = Field(default=1e-5, description="Peak learning rate (paper: 1e-5).")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="Decay of the rate. Not in the paper."
    )
    warmup: Fraction = Field(
        default=0.05, description="Share of the steps spent warming up. Not in the paper."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.01, description="AdamW's. Not in the paper."
    )
    grad_clip: PositiveFloat = Field(default=1.0, description="Largest gradient norm. Not in the paper.")
    max_tokens: PositiveInt | None = Field(
        default=None,
        description="Longest example, prompt and answer together; a longer one is an error, never cut, because a cut "
        "prompt loses frames or sound; absent: as long as the student takes. Not in the paper.",
    )
    select: Literal["last", "best_valid"] = Field(
        default="last",
        description="Which checkpoint is the result: the last, or the one with the least MAE on the validation split. "
        "Not in the paper.",
    )
    tuner: Tuner = Field(default=at_default(Full), description="`full`, or `lora`. Not in the paper.")
