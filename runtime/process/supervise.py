"""Process 1 of a stage: owns its workers and returns the most severe of their exit codes.

A target starts it with `python -m runtime stage.json`; `runtime/README.md` shows what follows. torchrun turns every
failure into exit code 1, and a launcher needs to know whether to retry, so each worker writes `exit-<rank>.json` and this
process reads them. It imports nothing heavy: it must outlive a worker that ran out of memory and be quick to forward a
signal. A worker that was killed outright writes no file; its signal decides.
"""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import MEANING, InvalidStageSpec, StageExit, Unreachable
from c2f_spec.store import leases, records
from c2f_spec.store.machine import make_scratch, try_lock
from c2f_spec.store.open import open_store
from runtime.checkpoints.manifest import RESUMABLE
from runtime.process import accounting
from runtime.process.attempt_log import Log
from runtime.process.stage_file import read_stage_file
from runtime.process.workers import Nodes, RankEnd, run_workers

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
"""From least to most. A bug is below the causes that have a name: when one rank runs out of memory, the others fail too."""


def supervise(path: Path, *, lock: Path | None) -> int:
    """Run the stage of a stage file to its end, and return an exit code of `StageExit`.

    In a store on this machine `lock` keeps two attempts apart, elsewhere a lease does.
    """
    try:
        stage = read_stage_file(path)
    except InvalidStageSpec as error:
        print(error, flush=True)
        return error.code
    lock_fd = _take_lock(lock) if lock else None
    if lock and lock_fd is None:
        print(f"{stage.name}: another process runs it", flush=True)
        return StageExit.TRANSIENT
    try:
        store = open_store(stage.store)
        if records.read_record(store, stage.kind, stage.key) is not None:
            print(f"{stage.name}: already done", flush=True)
            return StageExit.DONE
        shutil.rmtree(stage.scratch, ignore_errors=True)  # of an attempt that was killed
        attempt = attempt_name(alone=lock_fd is None)
        if lock_fd is not None and store.local(stage.key):
            code = _attempt(stage, path, store, attempt, lock_fd)
        else:
            code = _leased(stage, path, store, attempt, lock_fd)
        shutil.rmtree(stage.scratch, ignore_errors=True)
    except Unreachable as error:
        print(error, flush=True)
        return StageExit.TRANSIENT
    return code


def attempt_name(*, alone: bool) -> str:
    """Return the pod's uid if the attempt is alone in its pod, so that its log names the pod; else a unique name."""
    pod = os.environ.get("C2F_POD_UID", "").replace("-", "") if alone else ""
    return pod or uuid.uuid4().hex


def _leased(stage: StageFile, path: Path, store: ObjectStore, attempt: str, lock_fd: int | None) -> StageExit:
    """Run `_attempt` while it has the lease. An attempt that loses it stops."""
    shared = stage.placement.shards > 1 or stage.placement.nodes > 1
    part = int(os.environ.get("JOB_COMPLETION_INDEX", "0")) if shared else None
    lease = leases.acquire(store, leases.lease_name(stage.kind, stage.key, part), attempt)
    if lease is None:
        print(f"{stage.name}: another attempt runs it", flush=True)
        return _code_without_lease(stage, store)
    try:
        with leases.heartbeat(lease, stage.kind, stage.key, lambda: os.kill(os.getpid(), signal.SIGTERM)):
            code = _attempt(stage, path, store, attempt, lock_fd)
    finally:
        lease.release()
    if lease.lost and code is not StageExit.DONE:
        print(f"{stage.name}: stopped, since {lease.lost}", flush=True)
        return _code_without_lease(stage, store)
    return code


def _code_without_lease(stage: StageFile, store: ObjectStore) -> StageExit:
    """Return `DONE` if another attempt committed the stage, else `STOPPED`, which is retried."""
    done = records.read_record(store, stage.kind, stage.key) is not None
    return StageExit.DONE if done else StageExit.STOPPED


def _attempt(
    stage: StageFile, path: Path, store: ObjectStore, attempt: str, lock_fd: int | None
) -> StageExit:
    """Run one attempt with its log; write its ledger entry, and its failure if a retry would not help."""
    scratch = Path(stage.scratch) / attempt
    make_scratch(scratch)
    log = Log(store, stage.kind, stage.key, attempt)
    try:
        place = stage.placement
        worker = ["runtime.process.worker", str(path), "--attempt", attempt]
        start = accounting.begin(stage, store, attempt)
        ends = run_workers(
            worker, place.processes, scratch, log=log, grace=place.grace_seconds, lock_fd=lock_fd
        )
        worst = most_severe(ends)
        first_node = Nodes.from_environment().index == 0
        if worst.code is StageExit.STOPPED and stage.kind in RESUMABLE and first_node:
            worst = accounting.count_stop(store, stage.kind, stage.key, attempt, worst)
        accounting.end(stage, store, start, worst.code)
        if worst.message and not worst.logged:
            log.write(f"{stage.name}: {worst.code.name.lower()} ({int(worst.code)}): {worst.message}")
        if worst.code.permanent:
            records.add_failure(store, stage.kind, stage.key, _failure(worst))
        return worst.code
    finally:
        log.close()


def most_severe(ends: list[RankEnd]) -> RankEnd:
    """Return the end that decides how the stage ended."""
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
    """Lock `path` for the life of this process and write its id into it; `None` if another process has the lock."""
    descriptor = try_lock(path)
    if descriptor is None:
        return None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
