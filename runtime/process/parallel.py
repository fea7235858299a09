"""One function over many items: in processes for clips on every core, in threads for requests to a model.

A stage calls `map_processes` where it decodes and measures clips, `map_threads` where it waits for a teacher or an LLM
judge. Neither delays a stage that is stopped: few chunks are under way, and threads are daemons.
"""

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
    """Return the cores that this process may use: a pod sees all of its node, and `C2F_CORES` says how many it requested."""
    visible = len(os.sched_getaffinity(0))
    return min(visible, int(os.environ.get("C2F_CORES", visible)))


def map_processes(work: Callable[[T], R], items: Sequence[T], *, least: int = 200) -> Iterator[R]:
    """Yield `map(work, items)` in order; with fewer than `least` items or one core, without other processes.

    Workers are spawned, not forked: the libraries that decode media have threads of their own. Only a few chunks are
    under way at a time, so that a stage that is stopped need not finish them all first. Raises `OutOfMemory` if a
    worker is killed.
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
    """Prepare a process that a stage starts: it leaves interrupts to the stage, and ends with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def map_threads(
    work: Callable[[T], R], items: Iterable[T], at_once: int, give_up: Callable[[], None]
) -> Generator[R]:
    """Yield `work` of each item, done by `at_once` threads, in any order.

    A thread begins another item only when the caller has come back for the next result: at most `at_once` items are under
    way or not yet written down, however slow the disk, and no more are lost with a process that is killed.

    The first error of a thread is raised once the other threads have ended: what they are about to receive is paid for.
    `give_up` is called before that, so that they retry nothing. A caller that leaves early, as a stage that is stopped
    does, waits for no thread: they are daemons.
    """
    waiting: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[R] | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(at_once)

    def run() -> None:
        while room.acquire() and (item := waiting.get()) is not None:
            try:
                results.put((work(item[0]),))
            except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
                results.put(error)
                break
        room.release()
        results.put(None)

    def drop_waiting() -> None:
        with suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for _ in range(at_once):
            waiting.put(None)

    for item in items:
        waiting.put((item,))
    for _ in range(at_once):
        waiting.put(None)
        threading.Thread(target=run, name="requests", daemon=True).start()
    left, first = at_once, None
    try:
        while left:
            result = results.get()
            if result is None:
                left -= 1
            elif isinstance(result, BaseException):
                first = first or result
                drop_waiting()
                give_up()
            else:
                yield result[0]
                room.release()
    finally:
        drop_waiting()
        room.release(at_once)
    if first is not None:
        raise first
