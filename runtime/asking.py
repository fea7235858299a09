"""Many questions to one teacher: in threads, batch by batch, each asked again while its answer is not acceptable.

Threads are daemons and not of a pool's: a stage that is told to stop ends at once, whatever is under way.
"""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.endpoints.replies import RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runtime.endpoints.replies import Reply
    from runtime.teachers.base import Question, Teacher


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
    """Each batch when all of its questions are settled, in any order.

    The first error of a thread is raised once the others have ended: what they are about to be answered is paid for.
    Whoever leaves early, as one who is told to stop does, waits for nobody.
    """
    waiting = queue.SimpleQueue["list[Question] | None"]()
    settled = queue.SimpleQueue["list[Asked] | BaseException | None"]()

    def work() -> None:
        while (batch := waiting.get()) is not None:
            try:
                settled.put(_settle(teacher, batch, acceptable, seed, retry))
            except BaseException as error:  # noqa: BLE001  raised again where somebody waits
                settled.put(error)
                break
        settled.put(None)

    def end() -> None:
        """Nobody begins anew."""
        with suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for _ in range(teacher.at_once):
            waiting.put(None)

    for batch in batches:
        waiting.put(batch)
    for _ in range(teacher.at_once):
        waiting.put(None)
        threading.Thread(target=work, name="asks", daemon=True).start()
    left, first = teacher.at_once, None
    try:
        while left:
            made = settled.get()
            if made is None:
                left -= 1
            elif isinstance(made, BaseException):
                first = first or made
                end()
                teacher.give_up()
            else:
                yield made
    finally:
        end()
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
