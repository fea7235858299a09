"""Rules on teacher and filters (METHOD 3, 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.spec.filters import NAMES
from c2f_spec.spec.sections import Dc, Direct, LexiconTeacher, OpenaiTeacher, VllmTeacher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment

BIG = ("qwen3-omni-30b",)
"""Weights that fill a GPU of 80 GB: 59 GiB in bfloat16 (METHOD 8.4)."""
THOUGHT = 2048
"""Tokens under which a reply with a block of thinking and a chain of up to 512 is likely to break off. Ours, not measured."""


def a_label_that_was_seen_must_not_be_told(e: Experiment) -> Iterator[Problem]:
    if e.teacher is None or isinstance(e.teacher, LexiconTeacher) or e.filters is None:
        return
    seen = e.teacher.label_visibility
    if seen != "blind" and e.filters.no_label_leak is None:
        message = f"a teacher that is told the label (`{seen}`) may write it into its chain"
        yield Problem(
            "C2F340", ("teacher", "label_visibility"), message, "add `no_label_leak: {}` to `filters`"
        )


def thinking_does_not_collide_with_the_tag(e: Experiment) -> Iterator[Problem]:
    if e.teacher is None or isinstance(e.teacher, LexiconTeacher) or isinstance(e.format, Direct):
        return
    tag = e.format.think_tag if isinstance(e.format, Dc) else "think"
    if "thinking" in e.teacher.model.lower() and tag == "think" and e.teacher.native_thinking == "refuse":
        yield Problem(
            "C2F341",
            ("teacher", "model"),
            "a Thinking variant opens `<think>` by itself, and so does the format",
            "name the Instruct variant, or set `native_thinking: strip`",
        )


def there_is_room_to_think_and_to_answer(e: Experiment) -> Iterator[Problem]:
    if e.teacher is None or isinstance(e.teacher, LexiconTeacher):
        return
    thinks = "thinking" in e.teacher.model.lower() and e.teacher.native_thinking == "strip"
    if thinks and e.teacher.max_new_tokens < THOUGHT:
        yield Problem(
            "C2F358",
            ("teacher", "max_new_tokens"),
            f"a Thinking variant thinks before it answers, and both have {e.teacher.max_new_tokens} tokens: replies will "
            "break off in its own block",
            f"set `max_new_tokens: {THOUGHT}` or more, or name the Instruct variant",
            severity="warning",
        )


def another_try_can_differ(e: Experiment) -> Iterator[Problem]:
    """A chain that is asked for twice must be able to come out otherwise."""
    if e.teacher is None or e.filters is None:
        return
    on = [n for n in ("format", *NAMES) if getattr(e.filters, n) is not None]
    retried = [n for n in on if getattr(e.filters, n).on_fail == "retry"]
    same = isinstance(e.teacher, LexiconTeacher) or e.teacher.temperature == 0
    for name in retried:
        loc = ("filters", name, "on_fail")
        if same:
            message = "asking again is of no use: this teacher always writes the same chain"
            warmer = "" if isinstance(e.teacher, LexiconTeacher) else ", or a `temperature` above 0"
            yield Problem("C2F342", loc, message, f"set `on_fail: drop`{warmer}")
        elif not isinstance(e.teacher, LexiconTeacher) and e.teacher.retry == 0:
            message = "`on_fail: retry`, but `teacher.retry` is 0"
            yield Problem("C2F343", loc, message, "raise `teacher.retry`, or set `on_fail: drop`")
    if not isinstance(e.teacher, LexiconTeacher) and same and e.teacher.samples > 1:
        message = f"at temperature 0 all {e.teacher.samples} samples of a clip are the same chain"
        yield Problem("C2F344", ("teacher", "samples"), message, "ask for 1, or set a temperature")


def the_teacher_fits_its_gpus(e: Experiment) -> Iterator[Problem]:
    if not isinstance(e.teacher, VllmTeacher) or e.teacher.tensor_parallel > 1:
        return
    if any(name in e.teacher.model.lower() for name in BIG):
        yield Problem(
            "C2F345",
            ("teacher", "tensor_parallel"),
            "the weights take 59 GiB: one GPU of 80 GB has less than 15 GiB left for everything else",
            "set `tensor_parallel: 2`",
            severity="warning",
        )


def what_is_asked_again_can_be_judged_at_once(e: Experiment) -> Iterator[Problem]:
    length = e.filters.length if e.filters else None
    if length and length.on_fail == "retry" and length.unit == "tokens":
        message = "a chain is asked for again where the teacher is, which has not the student's tokenizer"
        yield Problem(
            "C2F356", ("filters", "length", "on_fail"), message, "count `words` or `chars`, or `drop` it"
        )


def a_budget_has_prices(e: Experiment) -> Iterator[Problem]:
    """The teacher's, and the judge's."""
    judge = e.filters.judge if e.filters else None
    asked = [(("teacher",), e.teacher)] if isinstance(e.teacher, OpenaiTeacher | VllmTeacher) else []
    for loc, model in (*asked, *([(("filters", "judge"), judge)] if judge else [])):
        client = model.client
        if client.max_cost is not None and (client.price_in is None or client.price_out is None):
            yield Problem(
                "C2F357",
                (*loc, "client", "max_cost"),
                "a budget needs both prices to be kept",
                "add `price_in` and `price_out`, a million tokens each",
            )


def filters_can_pass_and_can_fail(e: Experiment) -> Iterator[Problem]:
    if e.filters is None:
        return
    length, tolerance = e.filters.length, e.filters.score_tolerance
    if length and length.min > length.max:
        message = f"no chain has at least {length.min} and at most {length.max} {length.unit}"
        yield Problem("C2F346", ("filters", "length"), message, "swap them", at_key=True)
    if tolerance is None:
        return
    loc = ("filters", "score_tolerance", "max_fraction" if tolerance.max_abs is None else "max_abs")
    if tolerance.max_abs is not None and "max_fraction" in tolerance.model_fields_set:
        message = "two bounds: `max_abs` and `max_fraction`"
        yield Problem("C2F347", loc, message, "keep one of them", at_key=True)
    elif train := e.data.known.get(e.data.train):
        width = train.high - train.low
        most = tolerance.max_fraction * width if tolerance.max_abs is None else tolerance.max_abs
        if most >= width:
            message = f"no score is more than {most:g} off: `{train.name}` goes from {train.low:g} to {train.high:g}"
            yield Problem("C2F348", loc, message, "lower it; `max_fraction: 0.2` is the default")


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    a_label_that_was_seen_must_not_be_told,
    thinking_does_not_collide_with_the_tag,
    there_is_room_to_think_and_to_answer,
    another_try_can_differ,
    the_teacher_fits_its_gpus,
    what_is_asked_again_can_be_judged_at_once,
    a_budget_has_prices,
    filters_can_pass_and_can_fail,
)
