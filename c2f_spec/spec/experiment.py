"""The whole spec. Sections are optional and decide the pipeline."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, model_validator

from c2f_spec.spec.base import COSMETIC, PLACEMENT, REPORT, Name, SpecModel, at_default
from c2f_spec.spec.evaluate import Evaluate
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.grpo import Grpo
from c2f_spec.spec.reporting import Hypothesis, Table
from c2f_spec.spec.resources import Checkpoints, Guard, Resources
from c2f_spec.spec.sections import C2f, Data, Format, Media, Sft, Student, Teacher

TRAINED = frozenset({"start", "model"})
"""Roles of inputs that bring a trained model, with its processor beside it."""


def reads_weights(preimage: Mapping[str, Any], roles: Collection[str]) -> bool:
    """Return whether the stage of `preimage`, with inputs of these `roles`, reads the staged weights that it names."""
    kind, spec = preimage["stage"], preimage["spec"]
    if not preimage.get("models"):
        return False
    if kind == "distil":  # one that is served beside the stage is loaded there
        return bool(spec["teacher"].get("kind", "transformers") == "transformers")
    if kind == "grpo" and spec["grpo"].get("reference") == "base":
        return True
    return not TRAINED & set(roles)


class Experiment(SpecModel):
    """One experiment: what is distilled, kept, trained and evaluated."""

    c2f: Literal["v1"] = Field(description="Version of the spec language.", json_schema_extra=COSMETIC)
    name: Name = Field(
        description="Name of the experiment, for people and for reports.",
        json_schema_extra={**COSMETIC, "examples": ["sims-hint"]},
    )
    description: str = Field(default="", description="What it is for.", json_schema_extra=COSMETIC)
    project: Name = Field(
        default="default",
        description="On whose account its GPU-hours go.",
        json_schema_extra=COSMETIC,
    )
    environment: Name = Field(
        default="local",
        description="Where it runs: a file of `k8s/environments/`, or `local`.",
        json_schema_extra=PLACEMENT,
    )
    data: Data = Field(description="What is trained on.")
    format: Format = Field(
        default=at_default(C2f), description="Form of prompt and answer: `c2f`, `dc` or `direct`."
    )
    media: Media = Field(default=at_default(Media), description="Limits on frames and pixels.")
    student: Student = Field(description="The model that is trained.")
    teacher: Teacher | None = Field(default=None, description="The model that writes chains of thought.")
    filters: Filters | None = Field(default=None, description="Which chains are kept.")
    sft: Sft | None = Field(default=None, description="Supervised fine-tuning.")
    grpo: Grpo | None = Field(default=None, description="Reinforcement learning.")
    evaluate: Evaluate | None = Field(default=None, description="The evaluation matrix.")
    tables: tuple[Table, ...] = Field(
        default=(),
        description="Tables to make of the results: those of the paper by number, or your own.",
        json_schema_extra=REPORT,
    )
    hypothesis: Hypothesis | None = Field(
        default=None,
        description="What is expected, against which other experiment.",
        json_schema_extra=REPORT,
    )
    resources: Resources = Field(
        default=at_default(Resources), description="Resources by kind of stage.", json_schema_extra=PLACEMENT
    )
    checkpoints: Checkpoints = Field(
        default=at_default(Checkpoints),
        description="How often training is saved.",
        json_schema_extra=PLACEMENT,
    )
    guard: Guard = Field(
        default=at_default(Guard),
        description="When `grpo` is given up as gone wrong.",
        json_schema_extra=PLACEMENT,
    )
    seed: NonNegativeInt = Field(
        default=42, description="Seed of training and of sampling in evaluation. Not in the paper."
    )

    @model_validator(mode="before")
    @classmethod
    def _turn_on_default_filters(cls, data: Any) -> Any:
        """Turn the default filters on for a teacher whose spec says nothing of filters."""
        if isinstance(data, dict) and data.get("teacher") is not None and "filters" not in data:
            return {**data, "filters": {}}
        return data
