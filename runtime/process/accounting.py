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
from c2f_spec.store.digest import read_all_sealed, seal, unseal
from runtime.checkpoints.manifest import newest_step
from runtime.process.workers import RankEnd

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore


STEP = re.compile(r"/checkpoints/step-(\d+)/[^/]+/manifest\.json$")
TRAINING = ("sft", "grpo")


class AttemptStart(NamedTuple):
    """The start of an attempt."""

    attempt: str
    at: float
    """Seconds since the epoch."""
    step: int
    """Of the checkpoint that it can go on from; 0: of none."""
    gpus: int
    account: Account | None
    """Whose hours it is; nobody's: it is in no ledger."""


def begin(stage: StageFile, objects: ObjectStore, attempt: str) -> AttemptStart:
    """Also settles the account of an attempt before it that was killed outright."""
    account, step = ledger.read_account(objects, stage.kind, stage.key), saved_step(stage, objects)
    killed = _unfinished_attempt(stage, objects)
    if killed is not None:
        last = max(
            killed.at, _progress(stage, objects, killed.at)[1], _last_log_time(stage, objects, killed.attempt)
        )
        _add(stage, objects, killed, StageExit.TRANSIENT, last)
    begun = AttemptStart(attempt, time.time(), step, stage.placement.gpus, account)
    left = {**begun._asdict(), "account": account.model_dump() if account else None}
    objects.replace(_note_name(stage), seal(left))
    return begun


def end(stage: StageFile, objects: ObjectStore, begun: AttemptStart, code: StageExit) -> None:
    """Write the entry. A store that refuses it is told of, and changes nothing of how the attempt ended."""
    try:
        _add(stage, objects, begun, code, time.time())
        objects.replace(_note_name(stage), seal({}))
    except Unreachable as error:
        print(f"{stage.name}: not in the ledger: {error.message}", flush=True)


def _add(stage: StageFile, objects: ObjectStore, begun: AttemptStart, code: StageExit, until: float) -> None:
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
        reached=max(begun.step, saved, _progress(stage, objects, begun.at)[0]),
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


def _progress(stage: StageFile, objects: ObjectStore, since: float) -> tuple[int, float]:
    """Steps that were done, and when that was told last; nothing that was told before `since`."""
    state = records.read_progress(objects, stage.kind, stage.key)
    if not state or state["time"] < since:
        return 0, 0.0
    return int(state["done"]) if state["unit"] == "steps" else 0, float(state["time"])


def _last_log_time(stage: StageFile, objects: ObjectStore, attempt: str) -> float:
    """When an attempt wrote the last of its log."""
    logs = objects.listing(f"{records.work_name(stage.kind, stage.key)}/logs/{attempt}")
    return max((each.modified for each in logs), default=0.0)


def _unfinished_attempt(stage: StageFile, objects: ObjectStore) -> AttemptStart | None:
    """The attempt before this one, if it has not ended by itself. Of a damaged note nobody's hours can be told."""
    left = unseal(objects.read(_note_name(stage)) or b"")
    if not left:
        return None
    account = Account(**left["account"]) if left["account"] else None
    return AttemptStart(**{**left, "account": account})


def _note_name(stage: StageFile) -> str:
    """Of several pods that share a stage, each has its own."""
    shared = stage.placement.shards > 1 or stage.placement.nodes > 1
    part = f"-{os.environ.get('JOB_COMPLETION_INDEX', '0')}" if shared else ""
    return f"{records.work_name(stage.kind, stage.key)}/held{part}.json"


# Stops that lead nowhere: a stage that is stopped five times without a new checkpoint in between is given up.
#
# Stops are not counted by whoever retries, because machines that are taken back are normal. But a grace period that is
# too short for a checkpoint, or steps that take longer than the machine is lent for, would be retried for ever.


MAX_STOPS = 5
SAVED = frozenset({"sft", "grpo"})
"""Kinds of stages that are saved on the way."""


def count_stop(objects: ObjectStore, kind: str, key: str, attempt: str, stop: RankEnd) -> RankEnd:
    """`stop`, noted in the store; the end of the stage, if it is the fifth without a new checkpoint."""
    step = newest_step(objects, kind, key)
    # Those before a failure do not count again: somebody asked for another try since.
    place = f"work/{kind}/{key}/stops/{len(records.read_failures(objects, kind, key))}"
    objects.create(f"{place}/{attempt}.json", seal({"step": step}))
    listed = sorted(objects.listing(place), key=lambda each: each.modified)
    notes = read_all_sealed(
        objects, [each.name for each in listed[-MAX_STOPS:]], f"remove the objects below {place}"
    )
    steps = [note["step"] for note in notes.values()]
    if len(steps) < MAX_STOPS or any(s != step for s in steps):
        return stop
    message = f"stopped {MAX_STOPS} times without a checkpoint after step {step}"
    hint = (
        "lower `checkpoints.every`, or raise `grace_seconds` of the environment; `c2f-spec retry` tries again"
    )
    return RankEnd(stop.rank, StageExit.BUG, message, hint)
