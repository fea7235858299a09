"""Collect a teacher's answers to units of clips: in processes where it computes, in threads with a journal where it waits.

A row is one sample of a clip: {"id", "sample", "tries": [reply, …], "failed": {"reason", "message"} or null}. Its last
try counts; it failed if there was no (further) reply. Threads are daemons and of no pool: a stage that is stopped ends at
once, whatever is in flight.
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
from runtime.process.units import UNIT, Journal, JsonRow, shard_index
from runtime.text.clips import seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from c2f_spec.spec.endpoint import Client
    from runtime.endpoints.replies import Reply
    from runtime.process.context import Context
    from runtime.teachers.questions import Question, Teacher, TeacherPrompts
    from runtime.text.clips import Clip


MAX_REFUSALS = 16
"""Refused requests, before the first answer, after which the stage ends: the spec is wrong, not the clips."""


def answer_in_processes(
    ctx: Context,  # noqa: ARG001
    teacher: Teacher,
    prompts: TeacherPrompts,
    clips: Mapping[str, Clip],
    units: Mapping[int, Sequence[str]],
) -> Iterator[tuple[int, list[JsonRow]]]:
    """Answer in processes, without a journal: an interrupted unit is computed again."""
    questions = [prompts.questions(clips[clip_id])[0] for part in units.values() for clip_id in part]
    replies = map_processes(partial(_write_one, teacher), questions)
    for number, part in units.items():
        yield (
            number,
            [{"id": i, "sample": 0, "tries": [{"text": next(replies).text}], "failed": None} for i in part],
        )


def answer_in_threads(
    ctx: Context,
    teacher: Teacher,
    prompts: TeacherPrompts,
    clips: Mapping[str, Clip],
    units: Mapping[int, Sequence[str]],
) -> Iterator[tuple[int, list[JsonRow] | int]]:
    """Answer in threads, with a journal. Units are yielded when they are complete, in any order."""
    unit_of = {clip_id: number for number, part in units.items() for clip_id in part}
    questions = {
        number: [q for clip_id in part for q in prompts.questions(clips[clip_id])]
        for number, part in units.items()
    }
    rows: dict[int, dict[tuple[str, int], JsonRow]] = defaultdict(dict)
    with Journal(ctx, teacher.batch * teacher.concurrency) as journal:
        for row in journal.rows():
            if row["id"] in unit_of:
                rows[unit_of[row["id"]]].setdefault((row["id"], row["sample"]), row)
        stored = sum(map(len, rows.values()))
        log_line(f"{stored} of {sum(map(len, questions.values()))} answers are in the journal")
        # Batches are the same after an interruption, and so are the answers of a model that processes a batch together.
        batches = [
            batch
            for number, whole in questions.items()
            for batch in _cut(whole, teacher.batch)
            if any((q.id, q.sample) not in rows[number] for q in batch)
        ]
        outcomes = answer_batches(
            teacher,
            batches,
            lambda question, reply: prompts.acceptable(clips[question.id], reply.text),
            lambda question, tried: seed_of(ctx.stage.key, question.id, question.sample, tried),
            prompts.retry,
        )
        for number in [n for n in units if len(rows[n]) == len(questions[n])]:
            yield number, _ordered(questions[number], rows[number])
        alone = ctx.stage.placement.shards == 1
        units_done = alone and sum(map(len, units.values())) < len(clips)
        monitor, pending = _RefusalMonitor(answered=units_done or stored > 0), list[QuestionOutcome]()

        def store(each: QuestionOutcome) -> Iterator[tuple[int, list[JsonRow] | int]]:
            row = _row(each)
            journal.append(row)
            number = unit_of[row["id"]]
            of_unit = rows[number]
            of_unit.setdefault((row["id"], row["sample"]), row)
            if len(of_unit) == len(questions[number]):
                yield number, _ordered(questions[number], rows.pop(number))
            elif all((row["id"], sample) in of_unit for sample in range(prompts.samples)):
                yield number, 1

        for batch_outcomes in outcomes:
            for each in batch_outcomes:
                monitor.check(each)
            pending += batch_outcomes
            if monitor.answered:
                for each in pending:
                    yield from store(each)
                pending.clear()
        if pending and alone:
            raise _none_answered(pending)
        for each in pending:
            yield from store(each)


class _RefusalMonitor:
    """Ends the stage when all requests are refused.

    Before the first answer the endpoint may be at fault, so failures are not stored, and are sent again after a repair.
    """

    def __init__(self, *, answered: bool) -> None:
        self.answered, self._refused = answered, 0

    def check(self, each: QuestionOutcome) -> None:
        self.answered |= bool(each.tries)
        self._refused += each.failed is not None and each.failed.reason == "refused"
        if not self.answered and each.failed is not None and self._refused >= MAX_REFUSALS:
            raise InvalidStageSpec(
                f"the teacher refused the first {MAX_REFUSALS} clips: {each.failed.message}",
                hint="check `teacher.video` and the model's name; the endpoint may not support video or audio in this form",
            )


def _none_answered(failures: Sequence[QuestionOutcome]) -> InvalidData:
    reasons = Counter(each.failed.reason for each in failures if each.failed is not None)
    return InvalidData(
        f"the teacher answered none of {len({each.question.id for each in failures})} clips: {dict(reasons)}",
        hint="see the log, remove the cause, then run `c2f-spec retry`",
    )


def cost_so_far(ctx: Context, ids: Sequence[str]) -> float:
    """Return the cost of this pod's replies in earlier attempts, from the journal."""
    endpoint = ctx.stage.placement.endpoint
    if endpoint is None or endpoint.client.max_cost is None:
        return 0.0
    share = {i for n, i in enumerate(ids) if n // UNIT % ctx.stage.placement.shards == shard_index()}
    with Journal(ctx, 1) as journal:
        return sum(
            reply_cost(endpoint.client, t)
            for row in journal.rows()
            if row["id"] in share
            for t in row["tries"]
        )


def reply_cost(client: Client, reply: Mapping[str, Any]) -> float:
    return client.cost(reply["tokens_in"] or 0, reply["tokens_out"] or 0)


def _write_one(teacher: Teacher, question: Question) -> Reply:
    (reply,) = teacher.write([question])
    if isinstance(reply, Exception):
        raise reply
    return reply


def _row(each: QuestionOutcome) -> JsonRow:
    question, failed = each.question, each.failed
    return {
        "id": question.id,
        "sample": question.sample,
        "tries": [asdict(reply) for reply in each.tries],
        "failed": None if failed is None else {"reason": failed.reason, "message": failed.message},
    }


def _cut(whole: list[Question], size: int) -> list[list[Question]]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _ordered(questions: Sequence[Question], rows: Mapping[tuple[str, int], JsonRow]) -> list[JsonRow]:
    return [rows[q.id, q.sample] for q in questions]


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """A question with the replies to all its tries, the last of which counts."""

    question: Question
    tries: tuple[Reply, ...]
    failed: RequestFailed | None = None
    """The failure that ended the tries, if any."""


def answer_batches(
    teacher: Teacher,
    batches: Sequence[list[Question]],
    acceptable: Callable[[Question, Reply], bool],
    seed: Callable[[Question, int], int],
    retry: int,
) -> Iterator[list[QuestionOutcome]]:
    """Yield the outcomes of each batch when all of its questions are done, in any order. Ends as `map_threads` does."""
    work = partial(_answer_batch, teacher, acceptable=acceptable, seed=seed, retry=retry)
    return map_threads(work, batches, teacher.concurrency, teacher.give_up)


def _answer_batch(
    teacher: Teacher,
    batch: Sequence[Question],
    acceptable: Callable[[Question, Reply], bool],
    seed: Callable[[Question, int], int],
    retry: int,
) -> list[QuestionOutcome]:
    """Answer a batch, up to `retry` more times where an answer is not acceptable, each time with another seed."""
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
    return [QuestionOutcome(question, tuple(tries[question]), failed.get(question)) for question in batch]
