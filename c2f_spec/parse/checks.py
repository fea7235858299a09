"""Rules between sections (METHOD 3, 6.4, 8.4). A rule is a function that yields problems; a list below runs them.

Rules look at the experiment alone. What depends on the place (demo-only parts, what the runtime can do) is asked
when a plan is made for an environment: `c2f_spec/plan/compile.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from c2f_spec.parse.messages import suggest
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.sections import Dc, Direct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding at a location of the spec."""

    code: str
    loc: tuple[str | int, ...]
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    at_key: bool = False


def check(experiment: Experiment) -> list[Problem]:
    """Every problem that the rules find."""
    return [problem for rule in RULES for problem in rule(experiment)]


def data_sets_exist(e: Experiment) -> Iterator[Problem]:
    named: list[tuple[tuple[str | int, ...], str]] = [(("data", "train"), e.data.train)]
    named += [
        (("evaluate", "datasets", i), n) for i, n in enumerate(e.evaluate.datasets if e.evaluate else ())
    ]
    for loc, name in named:
        if name not in DATASETS:
            yield Problem("C2F301", loc, f"no data set `{name}`", suggest(name, list(DATASETS)))


def data_sets_have_the_splits(e: Experiment) -> Iterator[Problem]:
    train = DATASETS.get(e.data.train)
    trains = e.teacher is not None or e.sft is not None or e.grpo is not None
    if train and trains and "train" not in train.splits:
        able = [d.name for d in DATASETS.values() if "train" in d.splits]
        yield Problem(
            "C2F302", ("data", "train"), f"`{train.name}` has no training split", f"one of {', '.join(able)}"
        )


def rendering_belongs_to_rendered_data(e: Experiment) -> Iterator[Problem]:
    train = DATASETS.get(e.data.train)
    rendered = [n for n in (e.data.train, *(e.evaluate.datasets if e.evaluate else ())) if n in DATASETS]
    if train and e.data.render_seed is not None and not any(DATASETS[n].rendered for n in rendered):
        message = f"`render_seed` has no use: the clips of `{train.name}` are recorded, not drawn"
        yield Problem("C2F303", ("data", "render_seed"), message, "remove it", at_key=True)


def nothing_is_named_twice(e: Experiment) -> Iterator[Problem]:
    if e.evaluate is None:
        return
    for field in ("checkpoints", "datasets"):
        values = getattr(e.evaluate, field)
        for i, value in enumerate(values):
            if value in values[:i]:
                yield Problem(
                    "C2F304", ("evaluate", field, i), f"`{value}` stands twice", "remove one of them"
                )


def something_is_to_be_done(e: Experiment) -> Iterator[Problem]:
    if not (e.teacher or e.sft or e.grpo or e.evaluate):
        yield Problem(
            "C2F305",
            ("name",),
            "nothing to run",
            "add a section: teacher, sft, grpo or evaluate",
            at_key=True,
        )


def chains_have_a_source_and_a_use(e: Experiment) -> Iterator[Problem]:
    direct = isinstance(e.format, Direct)
    if direct and e.teacher:
        message = "`format: direct` has no chain of thought for a teacher to write"
        yield Problem(
            "C2F306", ("teacher",), message, "remove `teacher` and `filters`, or use format c2f", at_key=True
        )
    if e.filters and not e.teacher:
        yield Problem(
            "C2F307", ("filters",), "nothing to filter: there is no teacher", "add `teacher`", at_key=True
        )
    if e.teacher and not e.filters:
        hint = "add `filters: {polarity_match: {}}`, the least that the paper does"
        yield Problem("C2F308", ("teacher",), "a teacher's chains must pass filters", hint, at_key=True)
    if e.sft and not direct and not e.teacher:
        hint = "add `teacher` and `filters`, or use `format: direct`"
        yield Problem(
            "C2F309",
            ("sft",),
            "fine-tuning on chains of thought needs a teacher that writes them",
            hint,
            at_key=True,
        )


def labels_replace_only_matching_scores(e: Experiment) -> Iterator[Problem]:
    if e.filters and e.filters.replace_score_with_label and e.filters.polarity_match is None:
        message = "replacing the score by the label can write a chain that argues the other polarity"
        yield Problem(
            "C2F310",
            ("filters",),
            message,
            "add `polarity_match: {}`, or set `replace_score_with_label: false`",
            at_key=True,
        )


def checkpoints_are_made(e: Experiment) -> Iterator[Problem]:
    for i, checkpoint in enumerate(e.evaluate.checkpoints if e.evaluate else ()):
        if checkpoint != "base" and getattr(e, checkpoint) is None:
            message = f"checkpoint `{checkpoint}`, but there is no section `{checkpoint}`"
            yield Problem(
                "C2F311", ("evaluate", "checkpoints", i), message, f"add `{checkpoint}:`, or remove it here"
            )


def rewards_fit_the_format(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None:
        return
    on = [r for r in (e.grpo.rewards.format, e.grpo.rewards.polarity, e.grpo.rewards.score) if r is not None]
    if sum(r.weight for r in on) <= 0:
        yield Problem("C2F312", ("grpo", "rewards"), "no reward has a weight", "give one a weight above 0")
    if isinstance(e.format, Direct):
        message = "`format: direct` has no polarity that could be rewarded or hinted"
        yield Problem("C2F313", ("grpo",), message, "use format c2f, or remove `grpo`", at_key=True)


def threshold_separates_wrong_from_right(e: Experiment) -> Iterator[Problem]:
    """METHOD 1.8: in (l1, l1 + l2] a well-formed wrong group fires and a right answer does not."""
    if e.grpo is None or e.grpo.hint.hard_policy == "keep":
        return
    rewards, threshold = e.grpo.rewards, e.grpo.hint.trigger.threshold
    loc = ("grpo", "hint", "trigger", "threshold")
    if rewards.format is None or rewards.polarity is None:
        if threshold is None:
            message = "`auto` is the weights of format and polarity together, and one of them is not rewarded"
            yield Problem(
                "C2F314",
                ("grpo", "hint"),
                message,
                "name both rewards, give a number, or set `hard_policy: keep`",
                at_key=True,
            )
        return
    low, high = rewards.format.weight, rewards.format.weight + rewards.polarity.weight
    gated = rewards.score is None or rewards.score.gate in ("tag", "tag_and_sign")
    if threshold is not None and gated and not low < threshold <= high:
        why = (
            "below it no wrong group is hard"
            if threshold <= low
            else "above it a right answer with a poor score is hard"
        )
        yield Problem(
            "C2F315",
            loc,
            f"a threshold of {threshold:g} lies outside ({low:g}, {high:g}]: {why}",
            "use `auto`",
        )
    if threshold is None and rewards.polarity.weight == 0:
        yield Problem(
            "C2F316",
            ("grpo", "hint"),
            "`auto` needs a polarity reward with a weight above 0",
            "give one",
            at_key=True,
        )


def tags_differ(e: Experiment) -> Iterator[Problem]:
    if isinstance(e.format, Dc):
        names = [e.format.polarity_tag, e.format.think_tag, e.format.score_tag]
        if len(set(names)) < len(names):
            yield Problem(
                "C2F317",
                ("format",),
                "two tags have the same name",
                "give each a name of its own",
                at_key=True,
            )


def evaluation_does_not_leak(e: Experiment) -> Iterator[Problem]:
    for i, name in enumerate(e.evaluate.datasets if e.evaluate else ()):
        inside = DATASETS[name].contains if name in DATASETS else ()
        if e.data.train in inside:
            message = f"`{name}` contains `{e.data.train}`: neither in-domain nor out-of-domain"
            yield Problem(
                "C2F318",
                ("evaluate", "datasets", i),
                message,
                "read its cell with that in mind",
                severity="warning",
            )


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    data_sets_exist,
    data_sets_have_the_splits,
    rendering_belongs_to_rendered_data,
    nothing_is_named_twice,
    something_is_to_be_done,
    chains_have_a_source_and_a_use,
    labels_replace_only_matching_scores,
    checkpoints_are_made,
    rewards_fit_the_format,
    threshold_separates_wrong_from_right,
    tags_differ,
    evaluation_does_not_leak,
)
