"""A step's groups: which are hard, which of these are hinted, and what is noted and logged of both. No torch.distributed:
every rank decides from what all ranks know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.spec.hint import PassRate
from runtime.training.hints import curves
from runtime.training.hints.groups import Shape, slots
from runtime.training.hints.policy import Policy, able, chosen
from runtime.training.hints.triggers import FORETELL, TRIGGERS, Around, judges, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.training.hints.answer_facts import Judged
    from runtime.training.hints.history import History


ALONE = {"cpu": 8, "cuda": 64}
"""By device, how many rows more in a generation take the time of another generation that has few rows. On a CPU with 104 M
weights, where `make bench-grpo` shows it, 8; on a GPU, which reads its weights for many more rows at once, assumed.
"""


class Decision(NamedTuple):
    """Of each group."""

    hard: list[bool]
    hinted: list[bool]
    logged: list[tuple[str, float]]


def ahead(
    policy: Policy,
    history: History,
    samples: Sequence[str],
    shape: Shape,
    alone: int,
    *,
    step: int,
    steps: int,
) -> list[int]:
    """The groups of `samples` whose hinted answers are drawn in one generation with the first ones.

    If the trigger looks at no answer, those that will be hinted. Else all that may be, or none: a generation of its own
    takes as many tokens one after the other however few its rows, and so the time of `alone` rows more in another. That
    is weighed against the rows that are drawn in vain, if as many groups are hinted as in the step before. Nothing of
    a hinted answer decides whether it is used, so either way the same policy writes it for the same groups.
    """
    trigger, at = policy.spec.trigger, {"step": step, "steps": steps}
    if trigger.kind in FORETELL:
        hard = FORETELL[trigger.kind](trigger, None, Around(samples, (), policy.listed)).tolist()
        counts = [sample.hinted for sample in history.of(samples)]
        return _numbers(chosen(policy, samples, hard, counts, **at))
    able_to = able(policy, samples, **at)
    rows = max(len(own) for own in slots(policy.spec.group, shape, able_to))
    share = history.lately()
    return able_to if share > 0 and (1 - share) * rows < alone else []


def _numbers(which: Sequence[bool]) -> list[int]:
    return [i for i, each in enumerate(which) if each]


def decided(
    policy: Policy, history: History, first: Judged, samples: Sequence[str], *, step: int, steps: int
) -> Decision:
    """`samples` are the clips of the groups of `first` answers; `step` of `steps` counts from 0. Adds to `history`."""
    trigger = policy.spec.trigger
    before = history.of(samples)
    around = Around(samples, [sample.rate for sample in before], policy.listed)
    judging = judges(trigger)
    hard = TRIGGERS[trigger.kind](trigger, first, around).tolist() if judging else [False] * len(samples)
    counts = [sample.hinted for sample in before]
    hinted = chosen(policy, samples, hard, counts, step=step, steps=steps)
    right = first.fact("polarity").sum(dim=1).tolist()
    found, answers = history.note(
        step + 1,
        samples,
        hard=hard,
        hinted=hinted,
        right=[int(n) for n in right],
        answers=first.totals.shape[1],
        rates=running(trigger, first, around) if isinstance(trigger, PassRate) else around.rates,
    )
    polarities = [policy.polarity(clip) for clip in samples]
    logged = [
        *curves.of_first(first, polarities),
        *curves.of_groups(hard if judging else None, hinted, polarities),
        *curves.of_history(found, answers, history.trailing()),
    ]
    return Decision(hard, hinted, logged)
