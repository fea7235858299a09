"""The worker processes of a stage: start them, pass on signals, end them when they hang, and read how they ended.

`runtime.process.supervise` calls `run_workers` once an attempt. Where a stage has several processes or nodes, it starts
`python -m runtime.process.workers SCRATCH N GRACE MODULE ARG…`, which runs torchrun.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import StageExit
from runtime.process.heartbeat import STACKS_SIGNAL, read_beats
from runtime.process.signals import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.process.attempt_log import Log


POLL_SECONDS = 0.25
"""Seconds between two checks of the workers."""
STACKS_SECONDS = 1.0
"""Seconds that a worker has to write its stacks."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one training, and which of them this is. An Indexed Job and its headless Service set the variables."""

    count: int
    """C2F_NODES; absent: 1."""
    index: int
    """JOB_COMPLETION_INDEX: the number of this node."""
    rendezvous: str
    """C2F_RENDEZVOUS: host:port of node 0."""

    @classmethod
    def from_environment(cls) -> Nodes:
        count = int(os.environ.get("C2F_NODES", "1"))
        if count == 1:
            return cls(1, 0, "")
        return cls(count, int(os.environ["JOB_COMPLETION_INDEX"]), os.environ["C2F_RENDEZVOUS"])

    def ranks(self, processes: int) -> range:
        """Return the ranks of the workers on this node, if each node has `processes` of them."""
        return range(self.index * processes, (self.index + 1) * processes)

    def torchrun_options(self) -> list[str]:
        """Return torchrun's options that join all nodes in one group. Nodes keep their numbers, whichever starts first."""
        if self.count == 1:
            return ["--standalone"]
        host, _, port = self.rendezvous.rpartition(":")
        meet = ["--master-addr", host, "--master-port", port]
        return ["--nnodes", str(self.count), "--node-rank", str(self.index), *meet]


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
        arguments = (str(scratch), str(processes), str(grace))
        argv = [sys.executable, "-m", "runtime.process.workers", *arguments, *module]
    env = {**os.environ, "C2F_EXIT_DIR": str(scratch), "C2F_PARENT": str(os.getpid())}
    with _signals() as received:
        fds = () if lock_fd is None else (lock_fd,)
        child = subprocess.Popen(
            argv, env=env, pass_fds=fds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
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


def main(scratch: Path, processes: str, grace: str, module: list[str]) -> int:
    """Run torchrun on this node. It does not report the signal that ended a worker; `killed-<rank>.json` does."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    end_with_parent()
    os.environ["C2F_PARENT"] = str(os.getpid())
    # Workers that get a signal to stop save first: torchrun must not kill them before `run_workers` would.
    options = Nodes.from_environment().torchrun_options()
    options += ["--nproc-per-node", processes, "--max-restarts", "0"]
    options += ["--shutdown-timeout", str(int(float(grace)) + 1), "--module"]
    try:
        run.run(run.parse_args([*options, *module]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        for rank, failure in error.failures.items():
            if failure.exitcode < 0:
                note = {"rank": rank, "signal": -failure.exitcode}
                (scratch / f"killed-{rank}.json").write_text(json.dumps(note))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
