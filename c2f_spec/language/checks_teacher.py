"""Check teacher and filters (METHOD 3, 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.spec.filters import NAMES
from c2f_spec.spec.sections import Dc, Direct, LexiconTeacher, OpenaiTeacher, VllmTeacher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment

LARGE_MODELS = ("qwen3-omni-30b",)
"""Models whose weights fill a GPU of 80 GB: 59 GiB in bfloat16 (METHOD 8.4)."""
THINKING_TOKENS = 2048
"""Fewest tokens of a reply with a block of thinking and a chain of up to 512 tokens. Estimated, not measured."""


def check_label_leak(e: Experiment) -> Iterator[Problem]:
    if e.teacher is None or isinstance(e.teacher, LexiconTeacher) or e.filters is None:
        return
    visibility = e.teacher.label_visibility
    if visibility != "blind" and e.filters.no_label_leak is None:
        message = f"with `label_visibility: {visibility}` the teacher may leak the label into its chain"
        yield Problem(
            "C2F340", ("teacher", "label_visibility"), message, "remove `no_label_leak: null` from `filters`"
        )


def check_thinking_tag(e: Experiment) -> Iterator[Problem]:
    if e.teacher is None or isinstance(e.teacher, LexiconTeacher) or isinstance(e.format, Direct):
        return
    tag = e.format.think_tag if isinstance(e.format, Dc) else "think"
    if "thinking" in e.teacher.model.lower() and tag == "think" and e.teacher.native_thinking == "refuse":
        yield Problem(
            "C2F341",
            ("teacher", "model"),
            "conflicting `<think>` tags: both the Thinking variant and the format open one",
            "set `model` to the Instruct variant, or set `native_thinking: strip`",
        )


def check_thinking_tokens(e: Experiment) -> Iterator[Problem]:
    if e.teacher is None or isinstance(e.teacher, LexiconTeacher):
        return
    thinks = "thinking" in e.teacher.model.lower() and e.teacher.native_thinking == "strip"
    if thinks and e.teacher.max_new_tokens < THINKING_TOKENS:
        yield Problem(
            "C2F358",
            ("teacher", "max_new_tokens"),
            f"{e.teacher.max_new_tokens} tokens are too few for a Thinking variant: replies will be cut off while it "
            "thinks",
            f"set `max_new_tokens: {THINKING_TOKENS}` or more, or set `model` to the Instruct variant",
            severity="warning",
        )


def check_retries(e: Experiment) -> Iterator[Problem]:
    """Check that a second request for a chain can have another result."""
    if e.teacher is None or e.filters is None:
        return
    on = [n for n in ("format", *NAMES) if getattr(e.filters, n) is not None]
    retried = [n for n in on if getattr(e.filters, n).on_fail == "retry"]
    same = isinstance(e.teacher, LexiconTeacher) or e.teacher.temperature == 0
    for name in retried:
        loc = ("filters", name, "on_fail")
        if same:
            message = "`on_fail: retry` has no effect: this teacher always writes the same chain"
            warmer = (
                "" if isinstance(e.teacher, LexiconTeacher) else ", or raise `teacher.temperature` above 0"
            )
            yield Problem("C2F342", loc, message, f"set `on_fail: drop`{warmer}")
        elif not isinstance(e.teacher, LexiconTeacher) and e.teacher.retry == 0:
            message = "`on_fail: retry` has no effect: `teacher.retry` is 0"
            yield Problem("C2F343", loc, message, "raise `teacher.retry`, or set `on_fail: drop`")
    if not isinstance(e.teacher, LexiconTeacher) and same and e.teacher.samples > 1:
        message = f"duplicate samples: at temperature 0 all {e.teacher.samples} chains of a clip are equal"
        yield Problem(
            "C2F344", ("teacher", "samples"), message, "set `samples: 1`, or raise `temperature` above 0"
        )


def check_teacher_memory(e: Experiment) -> Iterator[Problem]:
    if not isinstance(e.teacher, VllmTeacher) or e.teacher.tensor_parallel > 1:
        return
    if any(name in e.teacher.model.lower() for name in LARGE_MODELS):
        yield Problem(
            "C2F345",
            ("teacher", "tensor_parallel"),
            "out of memory is likely: the weights take 59 GiB and leave less than 15 GiB of a GPU of 80 GB",
            "set `tensor_parallel: 2`",
            severity="warning",
        )


def check_retry_length(e: Experiment) -> Iterator[Problem]:
    length = e.filters.length if e.filters else None
    if length and length.on_fail == "retry" and length.unit == "tokens":
        message = (
            "`on_fail: retry` does not support `unit: tokens`: the teacher has no tokenizer of the student"
        )
        hint = "set `unit` to `words` or `chars`, or set `on_fail: drop`"
        yield Problem("C2F356", ("filters", "length", "on_fail"), message, hint)


def check_prices(e: Experiment) -> Iterator[Problem]:
    """Check that the budgets of teacher and judge have prices."""
    judge = e.filters.judge if e.filters else None
    teachers = [(("teacher",), e.teacher)] if isinstance(e.teacher, OpenaiTeacher | VllmTeacher) else []
    for loc, model in (*teachers, *([(("filters", "judge"), judge)] if judge else [])):
        client = model.client
        if client.max_cost is not None and (client.price_in is None or client.price_out is None):
            yield Problem(
                "C2F357",
                (*loc, "client", "max_cost"),
                "missing prices: `max_cost` needs `price_in` and `price_out`",
                "set `price_in` and `price_out`, both per million tokens",
            )


def check_filter_bounds(e: Experiment) -> Iterator[Problem]:
    if e.filters is None:
        return
    length, tolerance = e.filters.length, e.filters.score_tolerance
    if length and length.min > length.max:
        message = f"invalid range: `min: {length.min}` is greater than `max: {length.max}`"
        yield Problem("C2F346", ("filters", "length"), message, "swap `min` and `max`", at_key=True)
    if tolerance is None:
        return
    loc = ("filters", "score_tolerance", "max_fraction" if tolerance.max_abs is None else "max_abs")
    if tolerance.max_abs is not None and "max_fraction" in tolerance.model_fields_set:
        message = "conflicting bounds: `max_abs` and `max_fraction` are both set"
        yield Problem("C2F347", loc, message, "remove one of them", at_key=True)
    elif train := e.data.known.get(e.data.train):
        width = train.high - train.low
        most = tolerance.max_fraction * width if tolerance.max_abs is None else tolerance.max_abs
        if most >= width:
            message = f"no score is rejected: labels of `{train.name}` range from {train.low:g} to {train.high:g}, and an error of {most:g} is allowed"
            yield Problem("C2F348", loc, message, "lower it; `max_fraction: 0.2` is the default")


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    check_label_leak,
    check_thinking_tag,
    check_thinking_tokens,
    check_retries,
    check_teacher_memory,
    check_retry_length,
    check_prices,
    check_filter_bounds,
)
