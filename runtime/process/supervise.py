"""Process 1 of a stage: owns its workers and returns the gravest of their exit codes.

torchrun turns every failure into exit code 1, and a launcher needs to know whether to try again, so each worker leaves
`exit-<rank>.json` and this process reads them. It imports nothing heavy: it must outlive a worker that ran out of
memory and be quick to forward a signal. A worker that was killed outright leaves no file; its signal tells.
"""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import MEANING, StageExit, StageSpecWrong, Unreachable
from c2f_spec.store import leases, records
from c2f_spec.store.machine import make_scratch, try_lock
from c2f_spec.store.open import open_store
from runtime.process import accounting
from runtime.process.accounting import SAVED, count_stop
from runtime.process.launch import Nodes
from runtime.process.logs import Log
from runtime.process.stage_file import read_stage_file
from runtime.process.workers import RankEnd, run_workers

if TYPE_CHECKING:
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore

SEVERITY = (
    StageExit.DONE,
    StageExit.STOPPED,
    StageExit.TRANSIENT,
    StageExit.BUG,
    StageExit.DIVERGED,
    StageExit.DATA,
    StageExit.SPEC,
    StageExit.MEMORY,
)
"""A bug is below the causes that have a name: when one rank runs out of memory, the others die of its absence."""


def supervise(path: Path, *, lock: Path | None) -> int:
    """Run the stage of a stage file to its end. Returns an exit code of `StageExit`.

    In a store on this machine the lock keeps two attempts apart, elsewhere a lease does.
    """
    try:
        stage = read_stage_file(path)
    except StageSpecWrong as error:
        print(error, flush=True)
        return error.code
    held = _take_lock(lock) if lock else None
    if lock and held is None:
        print(f"{stage.name}: another process is at it", flush=True)
        return StageExit.TRANSIENT
    try:
        objects = open_store(stage.store)
        if records.read_record(objects, stage.kind, stage.key) is not None:
            print(f"{stage.name}: done before", flush=True)
            return StageExit.DONE
        shutil.rmtree(stage.scratch, ignore_errors=True)  # what a killed attempt left
        attempt = attempt_name(alone=held is None)
        if held is not None and objects.local(stage.key):
            code = _attempt(stage, path, objects, attempt, held)
        else:
            code = _leased(stage, path, objects, attempt, held)
        shutil.rmtree(stage.scratch, ignore_errors=True)
    except Unreachable as error:
        print(error, flush=True)
        return StageExit.TRANSIENT
    return code


def attempt_name(*, alone: bool) -> str:
    """In a pod of its own its uid, so that whoever reads its log knows the attempt; elsewhere anything unique."""
    pod = os.environ.get("C2F_POD_UID", "").replace("-", "") if alone else ""
    return pod or uuid.uuid4().hex


def _leased(stage: StageFile, path: Path, objects: ObjectStore, attempt: str, held: int | None) -> StageExit:
    """`_attempt` while this attempt has the lease. Who loses it stops: done if somebody committed, else to try again."""
    shared = stage.placement.shards > 1 or stage.placement.nodes > 1
    part = int(os.environ.get("JOB_COMPLETION_INDEX", "0")) if shared else None
    lease = leases.acquire(objects, leases.lease_name(stage.kind, stage.key, part), attempt)
    if lease is None:
        print(f"{stage.name}: another attempt is at it", flush=True)
        return _code_without_lease(stage, objects)
    try:
        with leases.heartbeat(lease, stage.kind, stage.key, lambda: os.kill(os.getpid(), signal.SIGTERM)):
            code = _attempt(stage, path, objects, attempt, held)
    finally:
        lease.release()
    if lease.lost and code is not StageExit.DONE:
        print(f"{stage.name}: stopped, since {lease.lost}", flush=True)
        return _code_without_lease(stage, objects)
    return code


def _code_without_lease(stage: StageFile, objects: ObjectStore) -> StageExit:
    done = records.read_record(objects, stage.kind, stage.key) is not None
    return StageExit.DONE if done else StageExit.STOPPED


def _attempt(stage: StageFile, path: Path, objects: ObjectStore, attempt: str, held: int | None) -> StageExit:
    """One attempt, with its log; how it ended is noted in the store where that matters to the next one."""
    scratch = Path(stage.scratch) / attempt
    make_scratch(scratch)
    log = Log(objects, stage.kind, stage.key, attempt)
    try:
        place = stage.placement
        worker = ["runtime.process.worker", str(path), "--attempt", attempt]
        begun = accounting.begin(stage, objects, attempt)
        ends = run_workers(worker, place.processes, scratch, log=log, grace=place.grace_seconds, hold=held)
        worst = most_severe(ends)
        if worst.code is StageExit.STOPPED and stage.kind in SAVED and Nodes.from_environment().index == 0:
            worst = count_stop(objects, stage.kind, stage.key, attempt, worst)
        accounting.end(stage, objects, begun, worst.code)
        if worst.message and not worst.logged:
            log.write(f"{stage.name}: {worst.code.name.lower()} ({int(worst.code)}): {worst.message}")
        if worst.code.permanent:
            records.add_failure(objects, stage.kind, stage.key, _failure(worst))
        return worst.code
    finally:
        log.close()


def most_severe(ends: list[RankEnd]) -> RankEnd:
    """The end that decides what becomes of the stage."""
    return max(ends, key=lambda end: SEVERITY.index(end.code))


def _failure(worst: RankEnd) -> dict[str, Any]:
    return {
        "code": int(worst.code),
        "class": MEANING[worst.code],
        "message": worst.message,
        "hint": worst.hint,
        "rank": worst.rank,
    }


def _take_lock(path: Path) -> int | None:
    """A lock on `path` for the life of this process, whose number it then tells, or `None` if somebody has it."""
    descriptor = try_lock(path)
    if descriptor is None:
        return None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
