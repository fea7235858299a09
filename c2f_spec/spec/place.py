"""What a spec may say of the place, in no key: resources of its stages, and how often training is saved."""

from typing import Literal

from pydantic import Field, PositiveInt

from c2f_spec.spec.base import PLACEMENT, Name, SpecModel

POOL = "Node pool of the environment; absent: the first one that has the GPUs. Nothing on `local`, which has no pools."


class TrainingResources(SpecModel):
    """Where training runs; what is absent, the environment decides."""

    gpus: PositiveInt | None = Field(
        default=None,
        description="GPUs of each node; absent: as many of a node's as share the batch evenly, four at most (the paper's "
        "number), and on `local` all that are visible.",
        json_schema_extra=PLACEMENT,
    )
    nodes: PositiveInt | None = Field(
        default=None,
        description="Nodes that train together; absent: one. Nothing on `local`, which is one.",
        json_schema_extra=PLACEMENT,
    )
    pool: Name | None = Field(default=None, description=POOL, json_schema_extra=PLACEMENT)
    zero: Literal["auto", "off", "2", "3"] = Field(
        default="auto",
        description="ZeRO: what of a training step is spread over GPUs; `auto` is 2 for lora and 3 for full.",
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
    """How often training is saved, so that it can go on after an interruption."""

    every: PositiveInt | None = Field(
        default=None,
        description="Optimiser steps between two; absent: the environment decides.",
        json_schema_extra=PLACEMENT,
    )
    keep: PositiveInt = Field(
        default=2,
        description="How many stay; an older one is needed if the newest is torn.",
        json_schema_extra=PLACEMENT,
    )
