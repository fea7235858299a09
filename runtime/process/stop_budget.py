"""Stops that lead nowhere: a stage that is stopped five times without a new checkpoint in between is given up.

Stops are not counted by whoever retries, because machines that are taken back are normal. But a grace period that is
too short for a checkpoint, or steps that take longer than the machine is lent for, would be retried for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import StageExit
from c2f_spec.store import records
from c2f_spec.store.digest import read_all_sealed, seal
from runtime.checkpoints.manifest import newest_step
from runtime.process.workers import End

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore

MOST = 5
SAVED = frozenset({"sft", "grpo"})
"""Kinds of stages that are saved on the way."""


def counted(objects: ObjectStore, kind: str, key: str, attempt: str, stop: End) -> End:
    """`stop`, noted in the store; the end of the stage, if it is the fifth without a new checkpoint."""
    step = newest_step(objects, kind, key)
    # Those before a failure do not count again: somebody asked for another try since.
    place = f"work/{kind}/{key}/stops/{len(records.failures(objects, kind, key))}"
    objects.create(f"{place}/{attempt}.json", seal({"step": step}))
    listed = sorted(objects.listing(place), key=lambda each: each.modified)
    notes = read_all_sealed(
        objects, [each.name for each in listed[-MOST:]], f"remove the objects below {place}"
    )
    steps = [note["step"] for note in notes.values()]
    if len(steps) < MOST or any(s != step for s in steps):
        return stop
    message = f"stopped {MOST} times without a checkpoint after step {step}"
    hint = (
        "lower `checkpoints.every`, or raise `grace_seconds` of the environment; `c2f-spec retry` tries again"
    )
    return End(stop.rank, StageExit.BUG, message, hint)
