"""Two workers that speak to each other by gloo and then end as the arguments say, one word a rank.

done: all-reduce and end well.   data, bug, stopped, diverged: raise.   killed: SIGKILL itself.   segv: crash.
wait: write a file and wait for a signal.   deaf: wait, and do not hear it.   hang: make two steps and never a third.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from c2f_spec.errors import Diverged, InvalidData
from runtime.console import visible_rank
from runtime.process.heartbeat import Heartbeat
from runtime.process.worker import run_guarded

RAISE = ("data", "bug", "diverged")


def act(rank: int, world: int, how: str) -> None:
    if how == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if world > 1:
        dist.init_process_group("gloo")
        total = torch.ones(1)
        dist.all_reduce(total)
        assert int(total) == world
    Path(os.environ["C2F_EXIT_DIR"], f"ready-{rank}").touch()
    if how == "data":
        raise InvalidData("clip 7 cannot be decoded", hint="look at clip 7")
    if how == "diverged":
        raise Diverged("the loss is not finite")
    if how == "bug":
        raise RuntimeError("a mistake")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "hang":
        heart = Heartbeat(rank, least=0.5)
        for _ in range(2):
            heart.beat()
            time.sleep(0.3)
        a_step_that_never_ends()
    if how in ("wait", "deaf"):
        time.sleep(600)


def a_step_that_never_ends() -> None:
    time.sleep(600)


def main(argv: list[str]) -> int:
    """The first end stops the others, so who raises waits for the others who raise: each is to tell its own."""
    rank, world = visible_rank()
    code = run_guarded(lambda: act(rank, world, argv[rank]), rank)
    ends = [Path(os.environ["C2F_EXIT_DIR"], f"exit-{r}.json") for r in range(world) if argv[r] in RAISE]
    while argv[rank] in RAISE and not all(end.exists() for end in ends):
        time.sleep(0.01)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
