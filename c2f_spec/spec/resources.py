"""Resources of stages, and how often training is saved; in no key."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from c2f_spec.spec.base import PLACEMENT, Fraction, Name, Positive, SpecModel

POOL = "Node pool of the environment; absent: the first one that has the GPUs. Nothing on `local`, which has no pools."

AskedZero = Literal["auto", "off", "2", "3"]
Zero = Literal["off", "2", "3"]


def resolve_zero(asked: AskedZero, *, lora: bool, processes: int) -> Zero:
    """Return how `processes` spread a step: adapters leave little to spread but their state, full training the weights too."""
    if processes <= 1:
        return "off"
    return asked if asked != "auto" else "2" if lora else "3"


class TrainingResources(SpecModel):
    """Where training runs; what is absent, the environment decides."""

    gpus: PositiveInt | None = Field(
        default=None,
        description="GPUs of each node; absent: as many of a node's as share the batch evenly, four at most (the paper's "
        "number), and on `local` of all that are visible.",
        json_schema_extra=PLACEMENT,
    )
    nodes: PositiveInt | None = Field(
        default=None,
        description="Nodes that train together; absent: one. Nothing on `local`, which is one.",
        json_schema_extra=PLACEMENT,
    )
    pool: Name | None = Field(default=None, description=POOL, json_schema_extra=PLACEMENT)
    zero: AskedZero = Field(
        default="auto",
        description="ZeRO: what of a training step is spread over GPUs; `auto` is 2 for lora and 3 for full. On one GPU "
        "there is nothing to spread, whatever is said here.",
        json_schema_extra=PLACEMENT,
    )
    micro_batch: PositiveInt | None = Field(
        default=None,
        description="Most rows of a GPU in one pass; the batch is accumulated. Lower it when memory runs out.",
        json_schema_extra=PLACEMENT,
    )


class SharedResources(SpecModel):
    """Where a stage runs whose clips several pods can share; what is absent, the environment decides."""

    gpus: PositiveInt | None = Field(
        default=None,
        description="GPUs of each pod; absent: as many as the model's weights need.",
        json_schema_extra=PLACEMENT,
    )
    shards: PositiveInt | None = Field(
        default=None,
        description="Pods that share the clips; absent: one. Nothing on `local`, where one process does them all.",
        json_schema_extra=PLACEMENT,
    )
    pool: Name | None = Field(default=None, description=POOL, json_schema_extra=PLACEMENT)


class Resources(SpecModel):
    """Resources by kind of stage. Moving a stage does not make it new: the batch is global."""

    distil: SharedResources | None = Field(
        default=None, description="The teacher.", json_schema_extra=PLACEMENT
    )
    sft: TrainingResources | None = Field(
        default=None, description="Supervised fine-tuning.", json_schema_extra=PLACEMENT
    )
    grpo: TrainingResources | None = Field(
        default=None, description="Reinforcement learning.", json_schema_extra=PLACEMENT
    )
    evaluate: SharedResources | None = Field(
        default=None, description="Evaluation, of each cell.", json_schema_extra=PLACEMENT
    )


class Checkpoints(SpecModel):
    """How often training is saved, so that it can go on after an interruption, and what stays."""

    every: PositiveInt | None = Field(
        default=None,
        description="Optimiser steps between two; absent: 50. What they take is lost when a stage is killed.",
        json_schema_extra=PLACEMENT,
    )
    keep: PositiveInt = Field(
        default=2,
        description="How many of the newest stay; an older one is needed if the newest is torn.",
        json_schema_extra=PLACEMENT,
    )
    keep_best: NonNegativeInt = Field(
        default=0,
        description="How many of the best stay too: by the loss in `sft`, by the reward of answers without a hint in `grpo`.",
        json_schema_extra=PLACEMENT,
    )
    keep_every: PositiveInt | None = Field(
        default=None,
        description="Those at a multiple of so many steps stay too.",
        json_schema_extra=PLACEMENT,
    )


class Guard(SpecModel):
    """When `grpo` is given up as gone wrong. In no key: a run that ends well is the same with any limit.

    A loss or a gradient that is not a finite number always ends training. The last good checkpoint stands.
    """

    window: PositiveInt = Field(
        default=20, description="Steps over whose mean the limits are judged.", json_schema_extra=PLACEMENT
    )
    max_kl: Positive | None = Field(
        default=5.0,
        description="Most KL to the reference, in nats a token; `null`: no limit. Runs that collapse reach 6 to 15.",
        json_schema_extra=PLACEMENT,
    )
    min_format: Fraction | None = Field(
        default=0.1,
        description=(
            "Least share of answers in the format, once half of them had it; `null`: no limit. Needs `rewards.format`."
        ),
        json_schema_extra=PLACEMENT,
    )
