"""What a stage reads, brought to this machine and verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable
from c2f_spec.store import records

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.objects import Objects


def bring_inputs(stage: StageFile, objects: Objects) -> dict[str, Path]:
    """Role to folder, every file verified; for `prepare` the staged copy of the data set."""
    found = {}
    for role, given in stage.inputs.items():
        record = records.read_record(objects, given.kind, given.key)
        if record is None:
            raise Unreachable(f"the input `{role}` ({given.kind} {given.key[:10]}) is not in the store")
        found[role] = records.fetch(objects, record)
    data = stage.preimage.get("data")
    if data:
        found["data"] = records.fetch_dataset(objects, data["name"], data["digest"])
    return found
