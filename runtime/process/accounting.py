"""The entry in the ledger that each attempt at a stage ends with: how long it held its GPUs, and what came of it.

Written by process 1 of a stage, which outlives its workers. An attempt whose machine dies cannot write its own: the next
one finds what it left in `held.json`, and writes the entry up to its last sign of life.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import Account, Entry
from c2f_spec.store import ledger, records
from c2f_spec.store.digest import seal, unseal

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore

STEP = re.compile(r"/checkpoints/step-(\d+)/[^/]+/manifest\.json$")
TRAINING = ("sft", "grpo")


class Begun(NamedTuple):
    """The start of an attempt."""

    attempt: str
    at: float
    """Seconds since the epoch."""
    step: int
    """Of the checkpoint that it can go on from; 0: of none."""
    gpus: int
    account: Account | None
    """Whose hours it is; nobody's: it is in no ledger."""


def begin(stage: StageFile, objects: ObjectStore, attempt: str) -> Begun:
    """Also settles the account of an attempt before it that was killed outright."""
    account, step = ledger.account(objects, stage.kind, stage.key), saved_step(stage, objects)
    killed = _held(stage, objects)
    if killed is not None:
        last = max(killed.at, _reached(stage, objects, killed.at)[1], _logged(stage, objects, killed.attempt))
        _add(stage, objects, killed, StageExit.TRANSIENT, last)
    begun = Begun(attempt, time.time(), step, stage.placement.gpus, account)
    left = {**begun._asdict(), "account": account.model_dump() if account else None}
    objects.replace(_held_name(stage), seal(left))
    return begun


def end(stage: StageFile, objects: ObjectStore, begun: Begun, code: StageExit) -> None:
    """Write the entry. A store that refuses it is told of, and changes nothing of how the attempt ended."""
    try:
        _add(stage, objects, begun, code, time.time())
        objects.replace(_held_name(stage), seal({}))
    except Unreachable as error:
        print(f"{stage.name}: not in the ledger: {error.message}", flush=True)


def _add(stage: StageFile, objects: ObjectStore, begun: Begun, code: StageExit, until: float) -> None:
    if begun.account is None:
        return
    record = records.read_record(objects, stage.kind, stage.key) if code is StageExit.DONE else None
    mine = record is not None and record.attempt == begun.attempt
    provenance = record.provenance if record is not None and mine else {}
    saved = saved_step(stage, objects)
    entry = Entry(
        kind=stage.kind,
        key=stage.key,
        attempt=begun.attempt,
        account=begun.account,
        started=datetime.fromtimestamp(begun.at, UTC).isoformat(timespec="seconds"),
        seconds=round(until - begun.at, 2),
        waited=provenance.get("seconds", {}).get("start", 0.0),
        gpus=begun.gpus,
        code=int(code),
        committed=mine,
        began=begun.step,
        reached=max(begun.step, saved, _reached(stage, objects, begun.at)[0]),
        saved=saved,
        measured=provenance.get("measured", {}),
    )
    ledger.add(objects, entry)


def saved_step(stage: StageFile, objects: ObjectStore) -> int:
    """Of the newest whole checkpoint; 0 if there is none."""
    if stage.kind not in TRAINING:
        return 0
    names = objects.names(f"{records.work_name(stage.kind, stage.key)}/checkpoints")
    return max((int(found[1]) for name in names if (found := STEP.search(name))), default=0)


def _reached(stage: StageFile, objects: ObjectStore, since: float) -> tuple[int, float]:
    """Steps that were done, and when that was told last; nothing that was told before `since`."""
    state = records.progress(objects, stage.kind, stage.key)
    if not state or state["time"] < since:
        return 0, 0.0
    return int(state["done"]) if state["unit"] == "steps" else 0, float(state["time"])


def _logged(stage: StageFile, objects: ObjectStore, attempt: str) -> float:
    """When an attempt wrote the last of its log."""
    logs = objects.listing(f"{records.work_name(stage.kind, stage.key)}/logs/{attempt}")
    return max((each.modified for each in logs), default=0.0)


def _held(stage: StageFile, objects: ObjectStore) -> Begun | None:
    """The attempt before this one, if it has not ended by itself. Of a damaged note nobody's hours can be told."""
    left = unseal(objects.read(_held_name(stage)) or b"")
    if not left:
        return None
    account = Account(**left["account"]) if left["account"] else None
    return Begun(**{**left, "account": account})


def _held_name(stage: StageFile) -> str:
    """Of several pods that share a stage, each has its own."""
    shared = stage.placement.shards > 1 or stage.placement.nodes > 1
    part = f"-{os.environ.get('JOB_COMPLETION_INDEX', '0')}" if shared else ""
    return f"{records.work_name(stage.kind, stage.key)}/held{part}.json"
