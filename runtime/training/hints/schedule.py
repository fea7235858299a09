"""Decide which samples are hinted, and when: warm-up, stop, dropout and cap (METHOD 6.2, 6.3).

The step asks before the first answers which groups are hinted early, and after them which groups are hard and hinted.

Nothing here draws from a generator: chance is a digest of seed, step and sample. Without any collective operation all ranks
decide alike, and a resumed run decides as an undisturbed one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import InvalidStageSpec
from c2f_spec.spec.hint import PassRate
from runtime.training.hints import answer_metrics
from runtime.training.hints.groups import StepShape, hinted_slots
from runtime.training.hints.triggers import (
    ANSWER_FREE_TRIGGERS,
    TRIGGERS,
    TriggerContext,
    is_decidable,
    running_rates,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.spec.formats import Polarity
    from c2f_spec.spec.hint import Hint
    from runtime.training.hints.answer_metrics import AnswerFacts, GroupResults
    from runtime.training.hints.history import History


@dataclass(frozen=True, slots=True)
class HintPolicy:
    """The policy of hints of a spec, for the clips of a stage."""

    spec: Hint
    hint: Callable[[str], str]
    """Return the hint of a clip, by id: the start of the answer."""
    facts: Callable[[str, str], AnswerFacts]
    """Return the facts of an answer to a clip."""
    polarity: Callable[[str], Polarity]
    """Return the polarity of a clip's label."""
    seed: int
    listed: frozenset[str] = frozenset()
    """Clip ids of an offline list."""


def max_hinted_groups(spec: Hint, groups: int) -> int:
    """Return the most groups of a batch that are hinted. Raises `InvalidStageSpec` if it is 0."""
    number = floor(spec.max_hinted_fraction * groups + 1e-9)
    if number == 0:
        raise InvalidStageSpec(
            f"`grpo.hint.max_hinted_fraction` of {groups} clips is less than one clip: nothing is ever hinted",
            hint=f"raise it to {1 / groups:.3g} or more, or raise `grpo.batch`",
        )
    return number


def eligible_groups(policy: HintPolicy, clips: Sequence[str], *, step: int, steps: int) -> list[int]:
    """Return the groups of `clips` that may be hinted in `step` of `steps`, if they are hard."""
    spec = policy.spec
    stopped = spec.stop_after < 1 and step >= spec.stop_after * steps
    if spec.hard_policy != "hint" or step < spec.warmup_steps or stopped:
        return []
    return [
        i for i, clip in enumerate(clips) if fixed_chance(policy.seed, "dropout", step, clip) >= spec.dropout
    ]


def choose_hinted(
    policy: HintPolicy,
    clips: Sequence[str],
    hard: Sequence[bool],
    before: Sequence[int],
    *,
    step: int,
    steps: int,
) -> list[bool]:
    """Return which groups are hinted in `step` of `steps`; `before` counts how often each sample was hinted.

    If too many are hard, samples that were hinted least go first: a sample with a wrong label is hard for ever, and would
    be hinted in place of others.
    """
    found = [i for i in eligible_groups(policy, clips, step=step, steps=steps) if hard[i]]
    found.sort(key=lambda i: (before[i], fixed_chance(policy.seed, "order", step, clips[i])))
    hinted = set(found[: max_hinted_groups(policy.spec, len(clips))])
    return [i in hinted for i in range(len(clips))]


def fixed_chance(seed: int, what: str, step: int, clip: str) -> float:
    """Return a pseudo-random number in [0, 1) that depends on the arguments alone."""
    digest = hashlib.blake2b(f"{seed}/{what}/{step}/{clip}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


BREAK_EVEN_ROWS = {"cpu": 8, "cuda": 64}
"""By device, how many more rows in a generation take the time of a second generation with few rows: on a CPU with 104 M
weights 8, measured by `make bench-grpo`; on a GPU assumed.
"""


class Decision(NamedTuple):
    """The decisions on each group, and the metrics of them."""

    hard: list[bool]
    hinted: list[bool]
    logged: list[tuple[str, float]]


def groups_to_hint_early(
    policy: HintPolicy,
    history: History,
    samples: Sequence[str],
    shape: StepShape,
    alone: int,
    *,
    step: int,
    steps: int,
) -> list[int]:
    """Return the groups of `samples` whose hinted answers are generated together with the first ones.

    If the trigger needs no answers, these are the groups that will be hinted. Else they are all eligible groups or none: a
    second generation takes as many tokens one after the other however few its rows, and so the time of `alone` more rows
    in the first. That is weighed against the rows that are generated in vain, if as many groups are hinted as in the step
    before. No hinted answer decides whether it is used, so either way the same policy writes it for the same groups.
    """
    trigger, at = policy.spec.trigger, {"step": step, "steps": steps}
    if trigger.kind in ANSWER_FREE_TRIGGERS:
        hard = ANSWER_FREE_TRIGGERS[trigger.kind](
            trigger, None, TriggerContext(samples, (), policy.listed)
        ).tolist()
        counts = [sample.hinted for sample in history.lookup(samples)]
        return _numbers(choose_hinted(policy, samples, hard, counts, **at))
    eligible = eligible_groups(policy, samples, **at)
    rows = max(len(own) for own in hinted_slots(policy.spec.group, shape, eligible))
    share = history.recent_hint_share()
    return eligible if share > 0 and (1 - share) * rows < alone else []


def _numbers(which: Sequence[bool]) -> list[int]:
    return [i for i, each in enumerate(which) if each]


def decide_groups(
    policy: HintPolicy,
    history: History,
    first: GroupResults,
    samples: Sequence[str],
    *,
    step: int,
    steps: int,
) -> Decision:
    """Decide which groups are hard and hinted from the `first` answers to `samples`, and record the visits in `history`.

    `step` of `steps` counts from 0.
    """
    trigger = policy.spec.trigger
    before = history.lookup(samples)
    context = TriggerContext(samples, [sample.rate for sample in before], policy.listed)
    decidable = is_decidable(trigger)
    hard = TRIGGERS[trigger.kind](trigger, first, context).tolist() if decidable else [False] * len(samples)
    counts = [sample.hinted for sample in before]
    hinted = choose_hinted(policy, samples, hard, counts, step=step, steps=steps)
    right = first.fact("polarity").sum(dim=1).tolist()
    found, answers = history.record_visit(
        step + 1,
        samples,
        hard=hard,
        hinted=hinted,
        right=[int(n) for n in right],
        answers=first.totals.shape[1],
        rates=running_rates(trigger, first, context) if isinstance(trigger, PassRate) else context.rates,
    )
    polarities = [policy.polarity(clip) for clip in samples]
    logged = [
        *answer_metrics.first_answer_metrics(first, polarities),
        *answer_metrics.group_metrics(hard if decidable else None, hinted, polarities),
        *answer_metrics.history_metrics(found, answers, history.trailing_polarity_rate()),
    ]
    return Decision(hard, hinted, logged)
