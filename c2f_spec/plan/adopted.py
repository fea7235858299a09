"""Put adopted files in the place of a stage's output: an old checkpoint, chains of thought from another project.

Such files carry no proof of how they were result, so they must not pass for what the stage computes. The lock says, with
who and why, that they stand for the stage of this key; the plan then has a stage of the same name whose key is of the
files themselves, and the keys of all that reads it follow. So results on adopted files and results on computed ones
never share a key, and when the spec changes, the entry no longer fits and the stage runs. What only an adopted stage would have read is not in the plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import content_key
from c2f_spec.plan.model import with_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.plan.model import Stage

ADOPTABLE = {"sft": "checkpoint", "grpo": "checkpoint", "distil": "chains"}
"""Kind of a stage to what its output is. Filters are ours to apply: chains are adopted before them."""


def is_adopted(stage: Stage) -> bool:
    return "adopted" in stage.preimage


def adopted_key(stage: Stage, files: str) -> tuple[str, dict[str, Any]]:
    """Return key and preimage of the stage that adopted files stand for; it reads and runs nothing else."""
    preimage = {"stage": stage.kind, "spec": stage.preimage["spec"], "adopted": files}
    return content_key(preimage), preimage


def with_adopted(stages: Sequence[Stage], adopted: Mapping[str, str]) -> list[Stage]:
    """Return the stages of one experiment, inputs first, with adopted files in place. `adopted` is digest by key."""
    if not adopted:
        return list(stages)
    renamed: dict[str, str] = {}
    result: dict[str, Stage] = {}
    unneeded: set[str] = set()
    for stage in stages:
        current = _with_input_keys(stage, renamed)
        files = adopted.get(current.key)
        if files is not None:
            unneeded |= with_inputs(result.__getitem__, current.inputs.values())
            key, preimage = adopted_key(current, files)
            current = replace(
                current, key=key, inputs={}, preimage=preimage, label=f"{stage.label} (adopted)"
            )
        renamed[stage.key] = current.key
        result[current.key] = current
    needed = with_inputs(result.__getitem__, (k for k in result if k not in unneeded))
    return [stage for key, stage in result.items() if key in needed]


def _with_input_keys(stage: Stage, renamed: Mapping[str, str]) -> Stage:
    """Return the stage with the keys that its inputs have now."""
    inputs = {role: renamed.get(key, key) for role, key in stage.inputs.items()}
    if inputs == stage.inputs:
        return stage
    preimage = {**stage.preimage, "inputs": dict(sorted(inputs.items()))}
    return replace(stage, key=content_key(preimage), inputs=inputs, preimage=preimage)
