"""The worker processes of a stage: start them, pass on signals, end them when they hang, and read how they ended.

`runtime.process.supervise` calls `run_workers` once an attempt.
"""

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
"""Seconds between two checks of the workers."""
STACKS_SECONDS = 1.0
"""Seconds that a worker has to write its stacks."""


@dataclass(frozen=True, slots=True)
class RankEnd:
    """How a rank ended, as it wrote itself or as this process found."""

    rank: int
    code: StageExit
    message: str = ""
    hint: str = ""
    logged: bool = False
    """Whether the log has the message already."""


def run_workers(
    module: Sequence[str],
    processes: int,
    scratch: Path,
    *,
    log: Log,
    grace: float = 30.0,
    lock_fd: int | None = None,
) -> list[RankEnd]:
    """Run `python -m module…` once, or under torchrun in several processes; return how each rank of this node ended.

    SIGTERM and SIGINT are passed on, and the workers then have `grace` seconds to save and stop. A worker that hangs is
    ended after the stacks of all are in the log. The worker inherits the lock `lock_fd`, so that if this process is killed
    outright, no other attempt begins while the worker still runs.
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
            pass_fds=() if lock_fd is None else (lock_fd,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert child.stdout is not None
        log.follow(child.stdout)
        forced = _watch(child, received, scratch, log, grace)
    return [_read_end(scratch, rank, child.returncode, forced) for rank in nodes.ranks(processes)]


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Yield a list of the signals to stop that arrive meanwhile."""
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
    """Wait for the end of `child`. If this function ends it, return the end of ranks that write none themselves."""
    passed = 0
    ends_at: float | None = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(POLL_SECONDS)
            return None
        for number in received[passed:]:
            child.send_signal(number)
            passed += 1
            # The rest of the grace is for what follows here. Then the sender kills, which would read as out of memory.
            ends_at = ends_at or time.monotonic() + grace - min(5.0, grace / 5)
        if ends_at is not None and time.monotonic() > ends_at:
            _kill(child, scratch)
            message = (
                f"timed out: not saved within the {grace:g} s to stop; the last complete checkpoint stands"
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
    """Kill every worker, then torchrun. A rank that wrote its end keeps it."""
    for beat in read_beats(scratch):  # before their parent, whose death they would take for a signal to stop
        with suppress(ProcessLookupError):
            os.kill(beat.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def _read_end(scratch: Path, rank: int, returncode: int, forced: RankEnd | None) -> RankEnd:
    """Return how a rank ended: as it wrote, else `forced`, else by the signal or code that ended it."""
    for name in (f"exit-{rank}.json", f"killed-{rank}.json"):
        try:
            end: dict[str, Any] = json.loads((scratch / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        if "signal" not in end:
            return RankEnd(rank, StageExit(end["code"]), end["message"], end["hint"], logged=True)
        returncode = -int(end["signal"])
    if forced is not None:
        return RankEnd(rank, forced.code, forced.message, forced.hint)
    if returncode == -signal.SIGKILL:
        hint = (
            "lower `resources.*.micro_batch`, `media.max_pixels` or `max_new_tokens`, or give it more memory"
        )
        return RankEnd(rank, StageExit.MEMORY, "killed, as a machine does when memory runs out", hint)
    if returncode in (-signal.SIGTERM, -signal.SIGINT):
        return RankEnd(rank, StageExit.STOPPED, "stopped before it could save")
    cause = f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"code {returncode}"
    return RankEnd(rank, StageExit.BUG, f"ended by {cause} without an error message")
