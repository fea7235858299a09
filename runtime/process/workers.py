"""The worker processes of a stage: started, told to stop, ended when they hang, and asked how they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import StageExit
from runtime.process.heartbeat import STACKS_SIGNAL, read_beats
from runtime.process.launch import Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from runtime.process.logs import Log

POLL_SECONDS = 0.25
"""Seconds between two looks at the workers."""
STACKS_SECONDS = 1.0
"""Seconds for a worker to write down its stacks."""


@dataclass(frozen=True, slots=True)
class RankEnd:
    """How a rank ended, in its own words or in those of whoever ended it."""

    rank: int
    code: StageExit
    message: str = ""
    hint: str = ""
    logged: bool = False
    """Whether the log has it already."""


def run_workers(
    module: Sequence[str],
    processes: int,
    scratch: Path,
    *,
    log: Log,
    grace: float = 30.0,
    hold: int | None = None,
) -> list[RankEnd]:
    """Run `python -m module…` once, or under torchrun in several processes; how each rank of this node ended.

    SIGTERM and SIGINT are passed on and waited for, because a worker saves before it stops: but not longer than
    `grace` allows. A worker that hangs is ended after the stacks of all are in the log. The worker inherits the lock
    `hold`, so that if this process is killed outright, nobody takes the stage for free while the worker still ends.
    """
    argv, nodes = [sys.executable, "-m", *module], Nodes.from_environment()
    if processes * nodes.count > 1:
        argv = [
            sys.executable,
            "-m",
            "runtime.process.launch",
            str(scratch),
            str(processes),
            str(grace),
            *module,
        ]
    env = {**os.environ, "C2F_EXIT_DIR": str(scratch), "C2F_PARENT": str(os.getpid())}
    with _signals() as received:
        child = subprocess.Popen(
            argv,
            env=env,
            pass_fds=() if hold is None else (hold,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert child.stdout is not None
        log.follow(child.stdout)
        verdict = _watch(child, received, scratch, log, grace)
    return [_end(scratch, rank, child.returncode, verdict) for rank in nodes.ranks(processes)]


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals to stop that come in meanwhile."""
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda n, _: received.append(n)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(
    child: subprocess.Popen[bytes], received: list[int], scratch: Path, log: Log, grace: float
) -> RankEnd | None:
    """Wait for the end of `child`; what is to be said of ranks that were ended from here, if they were."""
    passed = 0
    ends_at: float | None = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(POLL_SECONDS)
            return None
        for number in received[passed:]:
            child.send_signal(number)
            passed += 1
            # The rest of the grace is for what follows here; then whoever asked kills, and that reads as no memory.
            ends_at = ends_at or time.monotonic() + grace - min(5.0, grace / 5)
        if ends_at is not None and time.monotonic() > ends_at:
            _kill(child, scratch)
            message = (
                f"had not saved when the {grace:g} s to stop were over; the last complete checkpoint stands"
            )
            hint = "raise `grace_seconds` of the environment, or lower `checkpoints.every`"
            return RankEnd(0, StageExit.STOPPED, message, hint)
        late = max((beat.overdue(time.monotonic()) for beat in read_beats(scratch)), default=0.0)
        if late and ends_at is None:
            _log_stacks(scratch, log, late)
            _kill(child, scratch)
            return RankEnd(
                0, StageExit.TRANSIENT, f"no step for {late:.0f} s; the log has the stacks of all ranks"
            )


def _log_stacks(scratch: Path, log: Log, late: float) -> None:
    log.write(f"no step for {late:.0f} s: the stacks of all threads of all ranks follow")
    for beat in read_beats(scratch):
        log.write(f"--- rank {beat.rank}, process {beat.pid}")
        with suppress(ProcessLookupError):
            os.kill(beat.pid, STACKS_SIGNAL)
        time.sleep(STACKS_SECONDS)


def _kill(child: subprocess.Popen[bytes], scratch: Path) -> None:
    """Every worker, and what launched them. A rank that had its last word keeps it."""
    for beat in read_beats(scratch):  # before their parent, whose death they would take for a signal to stop
        with suppress(ProcessLookupError):
            os.kill(beat.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def _end(scratch: Path, rank: int, returncode: int, verdict: RankEnd | None) -> RankEnd:
    """How a rank ended: its own word, or that of who ended it, or what killed it."""
    for name in (f"exit-{rank}.json", f"killed-{rank}.json"):
        try:
            told: dict[str, Any] = json.loads((scratch / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        if "signal" not in told:
            return RankEnd(rank, StageExit(told["code"]), told["message"], told["hint"], logged=True)
        returncode = -int(told["signal"])
    if verdict is not None:
        return RankEnd(rank, verdict.code, verdict.message, verdict.hint)
    if returncode == -signal.SIGKILL:
        hint = (
            "lower `resources.*.micro_batch`, `media.max_pixels` or `max_new_tokens`, or give it more memory"
        )
        return RankEnd(rank, StageExit.MEMORY, "killed, as a machine does when memory runs out", hint)
    if returncode in (-signal.SIGTERM, -signal.SIGINT):
        return RankEnd(rank, StageExit.STOPPED, "stopped before it could save")
    cause = f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"code {returncode}"
    return RankEnd(rank, StageExit.BUG, f"ended by {cause} without a word")
