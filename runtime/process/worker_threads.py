"""Many questions to one teacher, or to a judge: in threads, each asked again while its answer is not acceptable.

Threads are daemons and not of a pool's: a stage that is told to stop ends at once, whatever is under way.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable


Q = TypeVar("Q")
R = TypeVar("R")


def side_by_side(
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
