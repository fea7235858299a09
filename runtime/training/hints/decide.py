"""A step's groups: which are hard, which of these are hinted, and what is noted and logged of both. No torch.distributed:
every rank decides from what all ranks know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.spec.hint_parts import PassRate
from runtime.training.hints import curves
from runtime.training.hints.policy import Policy, chosen
from runtime.training.hints.triggers import FORETELL, TRIGGERS, Around, judges, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.training.hints.history import History
    from runtime.training.hints.judged import Judged


class Decision(NamedTuple):
    """Of each group."""

    hard: list[bool]
    hinted: list[bool]
    logged: list[tuple[str, float]]


def foreseen(policy: Policy, history: History, samples: Sequence[str], *, step: int, steps: int) -> list[int]:
    """Those of the groups of `samples` that will be hinted whatever the first answers are."""
    trigger = policy.spec.trigger
    if trigger.kind not in FORETELL:
        return []
    hard = FORETELL[trigger.kind](trigger, None, Around(samples, (), policy.listed)).tolist()
    counts = [sample.hinted for sample in history.of(samples)]
    hinted = chosen(policy, samples, hard, counts, step=step, steps=steps)
    return [group for group, is_hinted in enumerate(hinted) if is_hinted]


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
