"""The entry in the ledger that each attempt at a stage ends with: how long it held its GPUs, and what came of it.

Written by process 1 of a stage, which outlives its workers. An attempt whose machine dies leaves none: nobody was there
to say how long it held anything.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.ledger import Entry
from c2f_spec.store import ledger, records
from runtime.checkpoints.manifest import newest_step
from runtime.stops import SAVED

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.spec.ledger import Account
    from c2f_spec.store.objects import Objects


class Begun(NamedTuple):
    """The start of an attempt."""

    attempt: str
    at: float
    """Seconds since the epoch."""
    step: int
    """Of the checkpoint that it can go on from; 0: of none."""
    account: Account | None
    """Whose hours it is; nobody's: it is in no ledger."""


def begin(stage: StageFile, objects: Objects, attempt: str) -> Begun:
    account = ledger.account(objects, stage.kind, stage.key)
    return Begun(attempt, time.time(), saved_step(stage, objects), account)


def end(stage: StageFile, objects: Objects, begun: Begun, code: StageExit, process: str = "") -> None:
    """Write the entry. A store that refuses it is told of, and changes nothing of how the attempt ended."""
    if begun.account is None:
        return
    try:
        ledger.add(objects, _entry(stage, objects, begun, code, begun.account), process)
    except Unreachable as error:
        print(f"{stage.name}: not in the ledger: {error.message}", flush=True)


def _entry(stage: StageFile, objects: Objects, begun: Begun, code: StageExit, account: Account) -> Entry:
    record = records.read_record(objects, stage.kind, stage.key) if code is StageExit.DONE else None
    mine = record is not None and record.attempt == begun.attempt
    provenance = record.provenance if record is not None and mine else {}
    saved = saved_step(stage, objects)
    return Entry(
        kind=stage.kind,
        key=stage.key,
        attempt=begun.attempt,
        account=account,
        started=datetime.fromtimestamp(begun.at, UTC).isoformat(timespec="seconds"),
        seconds=round(time.time() - begun.at, 2),
        waited=provenance.get("seconds", {}).get("start", 0.0),
        gpus=stage.placement.gpus,
        code=int(code),
        committed=mine,
        began=begun.step,
        reached=max(begun.step, saved, _reached(stage, objects, begun.at)),
        saved=saved,
        measured=provenance.get("measured", {}),
    )


def saved_step(stage: StageFile, objects: Objects) -> int:
    """Of the newest whole checkpoint; 0 if there is none."""
    return newest_step(objects, stage.kind, stage.key) if stage.kind in SAVED else 0


def _reached(stage: StageFile, objects: Objects, since: float) -> int:
    """Steps that were done, as this attempt told them last."""
    data = objects.read(f"{records.work_name(stage.kind, stage.key)}/progress.json")
    state = json.loads(data or b"null")
    if not state or state["unit"] != "steps" or state["time"] < since:
        return 0
    return int(state["done"])
