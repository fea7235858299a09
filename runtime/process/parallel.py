"""One function over many clips, on every core that this process may use, results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

from c2f_spec.errors import OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 16
"""Items that are sent to another process at once."""


def own_cores() -> int:
    """Cores of this machine that are ours: a pod sees all of its node's, and `C2F_CORES` says how many it asked for."""
    seen = len(os.sched_getaffinity(0))
    return min(seen, int(os.environ.get("C2F_CORES", seen)))


def over_cores(work: Callable[[T], R], items: Sequence[T], *, least: int = 200) -> Iterator[R]:
    """`map(work, items)`; with fewer than `least` items or one core, without other processes.

    Workers are spawned, not forked: the libraries that decode media have threads of their own. Only a few chunks are
    under way at a time, so that a stage that is told to stop does not first finish them all.
    """
    cores = own_cores()
    if cores == 1 or len(items) < least:
        yield from map(work, items)
        return
    under_way: deque[Future[list[R]]] = deque()
    try:
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), initializer=as_child) as pool:
            for start in range(0, len(items), CHUNK):
                under_way.append(pool.submit(_chunk, work, items[start : start + CHUNK]))
                if len(under_way) > 2 * cores:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
    except BrokenProcessPool as error:
        raise OutOfMemory(
            "a process that worked on clips was killed, as a machine does when memory runs out",
            hint="give the stage more memory or fewer cores",
        ) from error


def _chunk(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [work(item) for item in items]


def as_child() -> None:
    """In each process that a stage starts: leave interrupts to the stage, and end with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
