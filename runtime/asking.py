"""Many questions to one teacher, or to a judge: in threads, each asked again while its answer is not acceptable.

Threads are daemons and not of a pool's: a stage that is told to stop ends at once, whatever is under way.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from runtime.endpoints.replies import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from runtime.endpoints.replies import Reply
    from runtime.teachers.base import Question, Teacher

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with all its tries, the last of which counts."""

    question: Question
    tries: tuple[Reply, ...]
    failed: RequestFailed | None = None
    """Why there is no further try, if the teacher would not answer."""


def ask_all(
    teacher: Teacher,
    batches: Sequence[list[Question]],
    acceptable: Callable[[Question, Reply], bool],
    seed: Callable[[Question, int], int],
    retry: int,
) -> Iterator[list[Asked]]:
    """Each batch when all of its questions are settled, in any order. Ends as `side_by_side` does."""
    settle = partial(_settle, teacher, acceptable=acceptable, seed=seed, retry=retry)
    return side_by_side(settle, batches, teacher.at_once, teacher.give_up)


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


def _settle(
    teacher: Teacher,
    batch: Sequence[Question],
    acceptable: Callable[[Question, Reply], bool],
    seed: Callable[[Question, int], int],
    retry: int,
) -> list[Asked]:
    """Ask, and ask again for those whose answer is not acceptable, each time with another seed."""
    tries: dict[Question, list[Reply]] = {question: [] for question in batch}
    failed: dict[Question, RequestFailed] = {}
    left = list(batch)
    for tried in range(retry + 1):
        written = teacher.write([replace(question, seed=seed(question, tried)) for question in left])
        again = []
        for question, reply in zip(left, written, strict=True):
            if isinstance(reply, RequestFailed):
                failed[question] = reply
                continue
            tries[question].append(reply)
            if not acceptable(question, reply):
                again.append(question)
        left = again
        if not left:
            break
    return [Asked(question, tuple(tries[question]), failed.get(question)) for question in batch]
