"""Units of clips -> rows of answers: by processes where a teacher computes, by threads and with a journal where it is asked.

A row is one sample of a clip: {"id", "sample", "tries": [reply, …], "failed": {"reason", "message"} or null}. Its last
try counts; it failed if the teacher would not try (again).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData, InvalidStageSpec
from runtime.console import log_line
from runtime.endpoints.replies import RequestFailed
from runtime.process.parallel import map_processes, map_threads
from runtime.process.units import UNIT, Journal, shard_index
from runtime.text.clips import seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from c2f_spec.spec.endpoint import Client
    from runtime.endpoints.replies import Reply
    from runtime.process.context import Context
    from runtime.teachers.base import Question, Teacher
    from runtime.teachers.teacher_prompts import Asking
    from runtime.text.clips import Clip


Row = dict[str, Any]
HOPELESS = 16
"""Refused requests, with none answered, after which it is the spec and not the clips."""


def computed(
    ctx: Context,  # noqa: ARG001
    teacher: Teacher,
    asking: Asking,
    clips: Mapping[str, Clip],
    units: Mapping[int, Sequence[str]],
) -> Iterator[tuple[int, list[Row]]]:
    """By processes: nothing is waited for, and what is lost is computed again."""
    questions = [asking.questions(clips[clip_id])[0] for part in units.values() for clip_id in part]
    replies = map_processes(partial(_alone, teacher), questions)
    for number, part in units.items():
        yield (
            number,
            [{"id": i, "sample": 0, "tries": [{"text": next(replies).text}], "failed": None} for i in part],
        )


def asked(
    ctx: Context,
    teacher: Teacher,
    asking: Asking,
    clips: Mapping[str, Clip],
    units: Mapping[int, Sequence[str]],
) -> Iterator[tuple[int, list[Row] | int]]:
    """By threads, with a journal. A unit is yielded when it is whole, in whatever order they become so."""
    unit_of = {clip_id: number for number, part in units.items() for clip_id in part}
    questions = {
        number: [q for clip_id in part for q in asking.questions(clips[clip_id])]
        for number, part in units.items()
    }
    rows: dict[int, dict[tuple[str, int], Row]] = defaultdict(dict)
    with Journal(ctx, teacher.batch * teacher.at_once) as journal:
        for row in journal.rows():
            if row["id"] in unit_of:
                rows[unit_of[row["id"]]].setdefault((row["id"], row["sample"]), row)
        before = sum(map(len, rows.values()))
        log_line(f"{before} of {sum(map(len, questions.values()))} answers are in the journal")
        # Batches are the same after whatever interruption, and so are the answers of a model that sees them together.
        batches = [
            batch
            for number, whole in questions.items()
            for batch in _cut(whole, teacher.batch)
            if any((q.id, q.sample) not in rows[number] for q in batch)
        ]
        settled = ask_all(
            teacher,
            batches,
            lambda question, reply: asking.acceptable(clips[question.id], reply.text),
            lambda question, tried: seed_of(ctx.stage.key, question.id, question.sample, tried),
            asking.retry,
        )
        for number in [n for n in units if len(rows[n]) == len(questions[n])]:
            yield number, _ordered(questions[number], rows[number])
        alone = ctx.stage.placement.shards == 1
        made_before = alone and sum(map(len, units.values())) < len(clips)
        hope, unsure = _Hope(answered=made_before or before > 0), list[Asked]()

        def keep(each: Asked) -> Iterator[tuple[int, list[Row] | int]]:
            row = _row(each)
            journal.append(row)
            number = unit_of[row["id"]]
            there = rows[number]
            there.setdefault((row["id"], row["sample"]), row)
            if len(there) == len(questions[number]):
                yield number, _ordered(questions[number], rows.pop(number))
            elif all((row["id"], sample) in there for sample in range(asking.samples)):
                yield number, 1

        for made in settled:
            for each in made:
                hope.look(each)
            unsure += made
            if hope.answered:
                for each in unsure:
                    yield from keep(each)
                unsure.clear()
        if unsure and alone:
            raise _none_answered(unsure)
        for each in unsure:
            yield from keep(each)


class _Hope:
    """Gives up when nothing but refusals comes.

    Until something was answered it may be the endpoint, so what failed is not kept: it is asked again when that is mended.
    """

    def __init__(self, *, answered: bool) -> None:
        self.answered, self._refused = answered, 0

    def look(self, each: Asked) -> None:
        self.answered |= bool(each.tries)
        self._refused += each.failed is not None and each.failed.reason == "refused"
        if not self.answered and each.failed is not None and self._refused >= HOPELESS:
            raise InvalidStageSpec(
                f"the teacher refused the first {HOPELESS} clips: {each.failed.message}",
                hint="it may not take video or audio in this form; look at `teacher.video` and the model's name",
            )


def _none_answered(failures: Sequence[Asked]) -> InvalidData:
    reasons = Counter(each.failed.reason for each in failures if each.failed is not None)
    return InvalidData(
        f"the teacher answered none of {len({each.question.id for each in failures})} clips: {dict(reasons)}",
        hint="the log has more; with the cause out of the way, `c2f-spec retry` asks them all again",
    )


def spent(ctx: Context, ids: Sequence[str]) -> float:
    """What the replies of this pod's share cost in earlier attempts, as the journal has them."""
    endpoint = ctx.stage.placement.endpoint
    if endpoint is None or endpoint.client.max_cost is None:
        return 0.0
    share = {i for n, i in enumerate(ids) if n // UNIT % ctx.stage.placement.shards == shard_index()}
    with Journal(ctx, 1) as journal:
        return sum(
            cost_of(endpoint.client, t) for row in journal.rows() if row["id"] in share for t in row["tries"]
        )


def cost_of(client: Client, reply: Mapping[str, Any]) -> float:
    return client.cost(reply["tokens_in"] or 0, reply["tokens_out"] or 0)


def _alone(teacher: Teacher, question: Question) -> Reply:
    (reply,) = teacher.write([question])
    if isinstance(reply, Exception):
        raise reply
    return reply


def _row(each: Asked) -> Row:
    question, failed = each.question, each.failed
    return {
        "id": question.id,
        "sample": question.sample,
        "tries": [asdict(reply) for reply in each.tries],
        "failed": None if failed is None else {"reason": failed.reason, "message": failed.message},
    }


def _cut(whole: list[Question], size: int) -> list[list[Question]]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _ordered(questions: Sequence[Question], rows: Mapping[tuple[str, int], Row]) -> list[Row]:
    return [rows[q.id, q.sample] for q in questions]


# Many questions to one teacher, or to a judge: in threads, each asked again while its answer is not acceptable.
#
# Threads are daemons and not of a pool's: a stage that is told to stop ends at once, whatever is under way.


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
    """Each batch when all of its questions are settled, in any order. Ends as `map_threads` does."""
    settle = partial(_settle, teacher, acceptable=acceptable, seed=seed, retry=retry)
    return map_threads(settle, batches, teacher.at_once, teacher.give_up)


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
