"""Process 1 of a stage: owns its workers and returns the gravest of their exit codes.

torchrun turns every failure into exit code 1, and a launcher needs to know whether to try again, so each worker leaves
`exit-<rank>.json` and this process reads them. It imports nothing heavy: it must outlive a worker that ran out of
memory and be quick to forward a signal. A worker that was killed outright leaves no file; its signal tells.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import MEANING, StageExit, Unreachable
from c2f_spec.spec.handoff import StageFile
from c2f_spec.store import records
from c2f_spec.store.objects import open_objects
from runtime import accounting

if TYPE_CHECKING:
    from collections.abc import Sequence

GRAVITY = (
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
    """Run the stage of a stage file to its end. Returns an exit code of `StageExit`."""
    stage = StageFile.model_validate_json(path.read_bytes())
    held = _take(lock) if lock else None
    if lock and held is None:
        print(f"{stage.name}: another process is at it", flush=True)
        return StageExit.TRANSIENT
    try:
        objects = open_objects(stage.store)
        if records.read_record(objects, stage.kind, stage.key) is not None:
            print(f"{stage.name}: done before", flush=True)
            return StageExit.DONE
        shutil.rmtree(stage.scratch, ignore_errors=True)  # what a killed attempt left
        attempt = uuid.uuid4().hex
        scratch = Path(stage.scratch) / attempt
        scratch.mkdir(parents=True)
        worker = ["runtime.worker", str(path), "--attempt", attempt]
        begun = accounting.begin(stage, objects, attempt)
        code, ends = run_workers(worker, stage.placement.processes, scratch, hold=held)
        accounting.end(stage, objects, begun, code)
        if code.permanent:
            records.add_failure(objects, stage.kind, stage.key, _failure(code, ends))
        shutil.rmtree(stage.scratch, ignore_errors=True)
    except Unreachable as error:
        print(error, flush=True)
        return StageExit.TRANSIENT
    return code


def run_workers(
    module: Sequence[str], processes: int, scratch: Path, *, hold: int | None = None
) -> tuple[StageExit, list[dict[str, Any]]]:
    """Run `python -m module…` once, or under torchrun in several processes; the gravest code and what each rank said.

    SIGTERM and SIGINT are passed on and waited for: a worker saves before it stops. The worker inherits the lock
    `hold`, so that if this process is killed outright, nobody takes the stage for free while the worker still ends.
    """
    argv = [sys.executable, "-m", *module]
    if processes > 1:
        argv = [sys.executable, "-m", "runtime.launch", str(scratch), str(processes), *module]
    early: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: object) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        descriptors = () if hold is None else (hold,)
        env = {**os.environ, "C2F_EXIT_DIR": str(scratch), "C2F_PARENT": str(os.getpid())}
        child = subprocess.Popen(argv, env=env, pass_fds=descriptors)
        for number in early:
            child.send_signal(number)
        child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    ends = [_end(scratch, rank, child.returncode) for rank in range(processes)]
    return max((StageExit(e["code"]) for e in ends), key=GRAVITY.index), ends


def _end(scratch: Path, rank: int, returncode: int) -> dict[str, Any]:
    """How a rank ended: its own word, or what killed it."""
    for name in (f"exit-{rank}.json", f"killed-{rank}.json"):
        try:
            end: dict[str, Any] = json.loads((scratch / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        if "signal" not in end:
            return end
        returncode = -int(end["signal"])
    if returncode == -signal.SIGKILL:
        hint = "lower `batch`, `media.max_pixels` or `max_new_tokens`, or give the machine more memory"
        return {
            "rank": rank,
            "code": StageExit.MEMORY,
            "message": "killed, as a machine does when memory runs out",
            "hint": hint,
        }
    if returncode in (-signal.SIGTERM, -signal.SIGINT):
        return {
            "rank": rank,
            "code": StageExit.STOPPED,
            "message": "stopped before it could save",
            "hint": "",
        }
    cause = f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"code {returncode}"
    return {"rank": rank, "code": StageExit.BUG, "message": f"ended by {cause} without a word", "hint": ""}


def _failure(code: StageExit, ends: list[dict[str, Any]]) -> dict[str, Any]:
    worst = next(e for e in ends if e["code"] == code)
    return {
        "code": int(code),
        "class": MEANING[code],
        "message": worst["message"],
        "hint": worst["hint"],
        "rank": worst["rank"],
    }


def _take(path: Path) -> int | None:
    """An exclusive lock on `path` for the life of this process, or `None` if somebody has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
