"""The evaluation matrix: checkpoints by data sets, and how answers become scores (METHOD 2.6, 4.5)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import REPORT, SpecModel

Checkpoint = Literal["base", "sft", "grpo"]


class Decoding(SpecModel):
    """How answers are generated for evaluation."""

    max_new_tokens: PositiveInt = Field(
        default=512, description="Longest answer, in tokens. Not in the paper."
    )
    temperature: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="0 is greedy. Not in the paper."
    )


class Bootstrap(SpecModel):
    """Percentile intervals over clips."""

    resamples: PositiveInt = Field(
        default=1000, description="Resamples of the clips.", json_schema_extra=REPORT
    )
    seed: NonNegativeInt = Field(default=0, description="Seed of the resampling.", json_schema_extra=REPORT)


class Evaluate(SpecModel):
    """Which models are evaluated on which data sets. Hints are never given here."""

    checkpoints: tuple[Checkpoint, ...] = Field(
        description="`base` is the untouched student (zero-shot), `sft` and `grpo` are what those stages made.",
        min_length=1,
    )
    datasets: tuple[str, ...] = Field(description="Test sets, by name.", min_length=1)
    decoding: Decoding = Field(default=Decoding(), description="How answers are generated.")
    score_space: Literal["prompt_range", "rescale_from_train", "as_is"] = Field(
        default="prompt_range",
        description="Whose range the prompt names, and whether scores are rescaled. Not in the paper.",
    )
    baseline: Literal["none", "ridge"] = Field(
        default="none",
        description="`ridge`: linear baselines on words, voice, face and all three, fitted on the training split.",
    )
    unparsable: Literal["worst_case", "neutral_fill", "parsed_only"] = Field(
        default="worst_case",
        description="How an answer without a score counts in the main columns. Not in the paper.",
        json_schema_extra=REPORT,
    )
    bootstrap: Bootstrap = Field(
        default=Bootstrap(), description="Confidence intervals.", json_schema_extra=REPORT
    )
