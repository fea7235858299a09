"""The account of each attempt at a stage: its entry in the ledger, and a limit to attempts that are stopped.

Process 1 of a stage calls `begin` before and `end` after its workers, which it outlives. An attempt whose machine dies
cannot write its own entry: the next attempt finds its start in `running.json`, and writes the entry up to its last sign of
life.

A stage that is stopped five times without a new checkpoint in between fails (`count_stop`). Stops are not retried by count
elsewhere, because machines that are taken back are normal. But a grace period that is too short for a checkpoint, or steps
that take longer than the machine is lent for, would be retried for ever.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import Account, Entry
from c2f_spec.store import ledger, records
from c2f_spec.store.digest import read_all_sealed, seal, unseal
from runtime.checkpoints.manifest import RESUMABLE, newest_step
from runtime.process.workers import RankEnd

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore

MAX_STOPS = 5


class AttemptStart(NamedTuple):
    """The start of an attempt."""

    attempt: str
    at: float
    """Seconds since the epoch."""
    step: int
    """Step of the checkpoint that it can resume from; 0 if there is none."""
    gpus: int
    account: Account | None
    """The account that pays; without one the attempt is in no ledger."""


def begin(stage: StageFile, store: ObjectStore, attempt: str) -> AttemptStart:
    """Note the start of an attempt. Also write the entry of an attempt before it that was killed outright."""
    account, step = ledger.read_account(store, stage.kind, stage.key), _saved_step(stage, store)
    killed = _unfinished_attempt(stage, store)
    if killed is not None:
        signs = _progress(stage, store, killed.at)[1], _last_log_time(stage, store, killed.attempt)
        _add_entry(stage, store, killed, StageExit.TRANSIENT, max(killed.at, *signs))
    start = AttemptStart(attempt, time.time(), step, stage.placement.gpus, account)
    note = {**start._asdict(), "account": account.model_dump() if account else None}
    store.replace(_note_name(stage), seal(note))
    return start


def end(stage: StageFile, store: ObjectStore, start: AttemptStart, code: StageExit) -> None:
    """Write the entry of an attempt. A store that refuses it is logged, and does not change how the attempt ended."""
    try:
        _add_entry(stage, store, start, code, time.time())
        store.replace(_note_name(stage), seal({}))
    except Unreachable as error:
        print(f"{stage.name}: the ledger entry was not written: {error.message}", flush=True)


def count_stop(store: ObjectStore, kind: str, key: str, attempt: str, stop: RankEnd) -> RankEnd:
    """Count `stop` in the store and return it, or a failure if it is the fifth without a new checkpoint."""
    step = newest_step(store, kind, key)
    # Stops before a failure do not count: a user has asked for another try since.
    folder = f"work/{kind}/{key}/stops/{len(records.read_failures(store, kind, key))}"
    store.create(f"{folder}/{attempt}.json", seal({"step": step}))
    listed = sorted(store.listing(folder), key=lambda each: each.modified)
    names = [each.name for each in listed[-MAX_STOPS:]]
    steps = [
        note["step"] for note in read_all_sealed(store, names, f"remove the objects below {folder}").values()
    ]
    if len(steps) < MAX_STOPS or any(s != step for s in steps):
        return stop
    message = f"stopped {MAX_STOPS} times without a checkpoint after step {step}"
    hint = "lower `checkpoints.every`, or raise `grace_seconds` of the environment; then run `c2f-spec retry`"
    return RankEnd(stop.rank, StageExit.BUG, message, hint)


def _add_entry(
    stage: StageFile, store: ObjectStore, start: AttemptStart, code: StageExit, until: float
) -> None:
    if start.account is None:
        return
    record = records.read_record(store, stage.kind, stage.key) if code is StageExit.DONE else None
    committed = record is not None and record.attempt == start.attempt
    provenance = record.provenance if record is not None and committed else {}
    saved = _saved_step(stage, store)
    entry = Entry(
        kind=stage.kind,
        key=stage.key,
        attempt=start.attempt,
        account=start.account,
        started=datetime.fromtimestamp(start.at, UTC).isoformat(timespec="seconds"),
        seconds=round(until - start.at, 2),
        waited=provenance.get("seconds", {}).get("start", 0.0),
        gpus=start.gpus,
        code=int(code),
        committed=committed,
        began=start.step,
        reached=max(start.step, saved, _progress(stage, store, start.at)[0]),
        saved=saved,
        measured=provenance.get("measured", {}),
    )
    ledger.add(store, entry)


def _saved_step(stage: StageFile, store: ObjectStore) -> int:
    return newest_step(store, stage.kind, stage.key) if stage.kind in RESUMABLE else 0


def _progress(stage: StageFile, store: ObjectStore, since: float) -> tuple[int, float]:
    """Return the steps done and the time of the last progress report; (0, 0.0) if it is older than `since`."""
    state = records.read_progress(store, stage.kind, stage.key)
    if not state or state["time"] < since:
        return 0, 0.0
    return int(state["done"]) if state["unit"] == "steps" else 0, float(state["time"])


def _last_log_time(stage: StageFile, store: ObjectStore, attempt: str) -> float:
    logs = store.listing(f"{records.work_name(stage.kind, stage.key)}/logs/{attempt}")
    return max((each.modified for each in logs), default=0.0)


def _unfinished_attempt(stage: StageFile, store: ObjectStore) -> AttemptStart | None:
    """Return the attempt before this one, if it did not write its own end. A damaged note counts as none."""
    note = unseal(store.read(_note_name(stage)) or b"")
    if not note:
        return None
    account = Account(**note["account"]) if note["account"] else None
    return AttemptStart(**{**note, "account": account})


def _note_name(stage: StageFile) -> str:
    """Return the name of the note of a running attempt; pods that share a stage have one each."""
    shared = stage.placement.shards > 1 or stage.placement.nodes > 1
    part = f"-{os.environ.get('JOB_COMPLETION_INDEX', '0')}" if shared else ""
    return f"{records.work_name(stage.kind, stage.key)}/running{part}.json"
