"""What a spec may say of the place, in no key: resources of its stages, and how often training is saved."""

from typing import Literal

from pydantic import Field, PositiveInt

from c2f_spec.spec.base import PLACEMENT, Name, SpecModel


class StageResources(SpecModel):
    """Where one kind of stage runs; what is absent, the environment decides."""

    gpus: PositiveInt | None = Field(default=None, description="GPUs of a node.", json_schema_extra=PLACEMENT)
    nodes: PositiveInt | None = Field(
        default=None, description="Nodes; more than one only for training.", json_schema_extra=PLACEMENT
    )
    pool: Name | None = Field(
        default=None, description="Node pool of the environment.", json_schema_extra=PLACEMENT
    )
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


class Resources(SpecModel):
    """Resources by kind of stage. Moving a stage does not make it new: the batch is global."""

    distil: StageResources | None = Field(
        default=None, description="The teacher.", json_schema_extra=PLACEMENT
    )
    sft: StageResources | None = Field(
        default=None, description="Supervised fine-tuning.", json_schema_extra=PLACEMENT
    )
    grpo: StageResources | None = Field(
        default=None, description="Reinforcement learning.", json_schema_extra=PLACEMENT
    )
    evaluate: StageResources | None = Field(
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
