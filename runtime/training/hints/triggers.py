"""Decide which samples of a step are hard: one function and one line in `TRIGGERS` a kind of trigger (METHOD 6.1, 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from c2f_spec.spec.hint import AllBelow, Always, OfflineList, PassRate, ZeroVariance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.training.hints.answer_metrics import GroupResults

MARGIN = 1e-6
"""Tolerance of comparisons: totals are float32, and one that equals the threshold must not fall below it by rounding."""


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """The facts of samples that a trigger reads beside their answers."""

    clips: Sequence[str]
    """Clip ids, one a group."""
    rates: Sequence[float | None]
    """Running shares of right polarities before this step; `None` before the first visit."""
    listed: frozenset[str]
    """Clip ids of an offline list."""


def all_below(trigger: AllBelow, results: GroupResults, context: TriggerContext) -> torch.Tensor:
    del context
    values_MG = {
        "total": lambda: results.totals,
        "correct": lambda: results.correct,
        "polarity": lambda: results.fact("polarity"),
        "score": lambda: results.reward("score"),
    }[trigger.metric]()
    assert trigger.threshold is not None, "`auto` is resolved before a stage is keyed"
    return (values_MG < trigger.threshold - MARGIN).all(dim=1)


def pass_rate(trigger: PassRate, results: GroupResults, context: TriggerContext) -> torch.Tensor:
    rates_M = torch.tensor(running_rates(trigger, results, context), device=results.totals.device)
    return rates_M <= trigger.max_rate + MARGIN


def running_rates(trigger: PassRate, results: GroupResults, context: TriggerContext) -> list[float]:
    """Return the share of right polarities of each group; with `ema`, averaged with the sample's earlier visits."""
    now = results.fact("polarity").mean(dim=1).tolist()
    if trigger.ema is None:
        return now
    return [
        rate if before is None else trigger.ema * rate + (1 - trigger.ema) * before
        for rate, before in zip(now, context.rates, strict=True)
    ]


def zero_variance(trigger: ZeroVariance, results: GroupResults, context: TriggerContext) -> torch.Tensor:
    del context
    totals_MG = results.totals.double()
    alike_M = totals_MG.std(dim=1, unbiased=False) <= trigger.eps
    if trigger.only_if_mean_below is None:
        return alike_M
    return alike_M & (totals_MG.mean(dim=1) < trigger.only_if_mean_below - MARGIN)


def offline_list(trigger: OfflineList, results: GroupResults | None, context: TriggerContext) -> torch.Tensor:
    del trigger, results
    return torch.tensor([clip in context.listed for clip in context.clips])


def always(trigger: Always, results: GroupResults | None, context: TriggerContext) -> torch.Tensor:
    del trigger, results
    return torch.ones(len(context.clips), dtype=torch.bool)


ANSWER_FREE_TRIGGERS: dict[str, Callable[[Any, GroupResults | None, TriggerContext], torch.Tensor]] = {
    "offline_list": offline_list,
    "always": always,
}
"""Triggers that need no answers, and so decide before any is generated."""

TRIGGERS: dict[str, Callable[[Any, GroupResults, TriggerContext], torch.Tensor]] = {
    "all_below": all_below,
    "pass_rate": pass_rate,
    "zero_variance": zero_variance,
    **ANSWER_FREE_TRIGGERS,
}
"""Triggers by kind: (fields of the trigger, results of M groups, samples) to which are hard: (M,), bool."""


def is_decidable(trigger: Any) -> bool:
    """Return whether a trigger can decide: a threshold may be open where `hard_policy: keep` leaves all samples alone."""
    return not (isinstance(trigger, AllBelow) and trigger.threshold is None)


def still_bad(trigger: Any, hinted: GroupResults) -> torch.Tensor:
    """Return which groups are hard in spite of the hint: (M,), bool.

    A trigger that compares rewards decides on the hinted answers. For the others, which a hinted answer always passes, a
    group is bad if none of its hinted answers is well-formed.
    """
    if isinstance(trigger, (AllBelow, ZeroVariance)):
        return TRIGGERS[trigger.kind](trigger, hinted, TriggerContext((), (), frozenset()))
    return hinted.correct.sum(dim=1) == 0
