"""One function over many clips, on every core that this process may use, results in order."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from c2f_spec.errors import OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future


T = TypeVar("T")
R = TypeVar("R")

CHUNK = 16
"""Items that are sent to another process at once."""


def available_cores() -> int:
    """Cores of this machine that are ours: a pod sees all of its node's, and `C2F_CORES` says how many it asked for."""
    seen = len(os.sched_getaffinity(0))
    return min(seen, int(os.environ.get("C2F_CORES", seen)))


def map_processes(work: Callable[[T], R], items: Sequence[T], *, least: int = 200) -> Iterator[R]:
    """`map(work, items)`; with fewer than `least` items or one core, without other processes.

    Workers are spawned, not forked: the libraries that decode media have threads of their own. Only a few chunks are
    under way at a time, so that a stage that is told to stop does not first finish them all.
    """
    cores = available_cores()
    if cores == 1 or len(items) < least:
        yield from map(work, items)
        return
    under_way: deque[Future[list[R]]] = deque()
    try:
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), initializer=init_child) as pool:
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


def init_child() -> None:
    """In each process that a stage starts: leave interrupts to the stage, and end with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


# Many questions to one teacher, or to a judge: in threads, each asked again while its answer is not acceptable.
#
# Threads are daemons and not of a pool's: a stage that is told to stop ends at once, whatever is under way.


Q = TypeVar("Q")


def map_threads(
    work: Callable[[Q], R], items: Iterable[Q], at_once: int, give_up: Callable[[], None]
) -> Generator[R]:
    """`work` of each item by `at_once` threads, in any order.

    A thread begins another item only when whoever asked has come back for the next: at most `at_once` are under way or
    not yet written down, however slow the disk, and no more are lost with a process that is killed.

    The first error of a thread is raised once the others have ended: what they are about to be answered is paid for.
    `give_up` is called before, so that they try nothing again. Whoever leaves early, as one who is told to stop does,
    waits for nobody.
    """
    waiting: queue.SimpleQueue[tuple[Q] | None] = queue.SimpleQueue()
    settled: queue.SimpleQueue[tuple[R] | BaseException | None] = queue.SimpleQueue()

    room = threading.Semaphore(at_once)

    def run() -> None:
        while room.acquire() and (item := waiting.get()) is not None:
            try:
                settled.put((work(item[0]),))
            except BaseException as error:  # noqa: BLE001  raised again where somebody waits
                settled.put(error)
                break
        room.release()
        settled.put(None)

    def end() -> None:
        """Nobody begins anew."""
        with suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for _ in range(at_once):
            waiting.put(None)

    for item in items:
        waiting.put((item,))
    for _ in range(at_once):
        waiting.put(None)
        threading.Thread(target=run, name="asks", daemon=True).start()
    left, first = at_once, None
    try:
        while left:
            made = settled.get()
            if made is None:
                left -= 1
            elif isinstance(made, BaseException):
                first = first or made
                end()
                give_up()
            else:
                yield made[0]
                room.release()
    finally:
        end()
        room.release(at_once)
    if first is not None:
        raise first
