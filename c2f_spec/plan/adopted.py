"""Stages whose output was made elsewhere: an old checkpoint, chains of thought from another project.

Such files carry no proof of how they were made, so they must not pass for what the stage computes. The lock says, with
who and why, that they stand for the stage of this key; the plan then has a stage of the same name whose key is of the
files themselves, and the keys of all that reads it follow. So results on adopted files and results on computed ones
never share a key, and when the spec changes, the entry no longer fits and the stage runs. What only an adopted stage would have read is not in the plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import content_key
from c2f_spec.plan.model import needed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.plan.model import Stage

ADOPTABLE = {"sft": "checkpoint", "grpo": "checkpoint", "distil": "chains"}
"""Kind of a stage to what its output is. Filters are ours to apply: chains are adopted before them."""


def is_adopted(stage: Stage) -> bool:
    return "adopted" in stage.preimage


def adopted_key(stage: Stage, files: str) -> tuple[str, dict[str, Any]]:
    """Key and preimage of what stands for a stage: nothing of what it would have read or run."""
    preimage = {"stage": stage.kind, "spec": stage.preimage["spec"], "adopted": files}
    return content_key(preimage), preimage


def with_adopted(stages: Sequence[Stage], adopted: Mapping[str, str]) -> list[Stage]:
    """The stages of one experiment, inputs first, with what is adopted in place. `adopted` is digest by key."""
    if not adopted:
        return list(stages)
    renamed: dict[str, str] = {}
    made: dict[str, Stage] = {}
    spared: set[str] = set()
    for stage in stages:
        found = _moved(stage, renamed)
        files = adopted.get(found.key)
        if files is not None:
            spared |= needed(made.__getitem__, found.inputs.values())
            key, preimage = adopted_key(found, files)
            found = replace(found, key=key, inputs={}, preimage=preimage, label=f"{stage.label} (adopted)")
        renamed[stage.key] = found.key
        made[found.key] = found
    kept = needed(made.__getitem__, (k for k in made if k not in spared))
    return [stage for key, stage in made.items() if key in kept]


def _moved(stage: Stage, renamed: Mapping[str, str]) -> Stage:
    """The stage with the keys that its inputs have now."""
    inputs = {role: renamed.get(key, key) for role, key in stage.inputs.items()}
    if inputs == stage.inputs:
        return stage
    preimage = {**stage.preimage, "inputs": dict(sorted(inputs.items()))}
    return replace(stage, key=content_key(preimage), inputs=inputs, preimage=preimage)
