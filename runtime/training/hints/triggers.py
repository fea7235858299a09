"""When a sample is hard: one function a kind of trigger, one line in `TRIGGERS` (METHOD 6.1, 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from c2f_spec.spec.hint import AllBelow, Always, OfflineList, PassRate, ZeroVariance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.training.hints.answer_facts import Judged

MARGIN = 1e-6
"""Totals are float32; a total that equals the threshold must not fall below it by rounding."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a trigger may know of the samples beside their answers."""

    clips: Sequence[str]
    """Ids, one a group."""
    rates: Sequence[float | None]
    """Running shares of right polarities before this step; `None` for a sample that was never seen."""
    listed: frozenset[str]
    """The samples of an offline list."""


def all_below(trigger: AllBelow, judged: Judged, around: Around) -> torch.Tensor:
    del around
    values_MG = {
        "total": lambda: judged.totals,
        "correct": lambda: judged.correct,
        "polarity": lambda: judged.fact("polarity"),
        "score": lambda: judged.reward("score"),
    }[trigger.metric]()
    assert trigger.threshold is not None, "`auto` is resolved before a stage is keyed"
    return (values_MG < trigger.threshold - MARGIN).all(dim=1)


def pass_rate(trigger: PassRate, judged: Judged, around: Around) -> torch.Tensor:
    rates_M = torch.tensor(running(trigger, judged, around), device=judged.totals.device)
    return rates_M <= trigger.max_rate + MARGIN


def running(trigger: PassRate, judged: Judged, around: Around) -> list[float]:
    """The share of right polarities of each group; with `ema`, of the sample's earlier visits too."""
    now = judged.fact("polarity").mean(dim=1).tolist()
    if trigger.ema is None:
        return now
    return [
        rate if before is None else trigger.ema * rate + (1 - trigger.ema) * before
        for rate, before in zip(now, around.rates, strict=True)
    ]


def zero_variance(trigger: ZeroVariance, judged: Judged, around: Around) -> torch.Tensor:
    del around
    totals_MG = judged.totals.double()
    alike_M = totals_MG.std(dim=1, unbiased=False) <= trigger.eps
    if trigger.only_if_mean_below is None:
        return alike_M
    return alike_M & (totals_MG.mean(dim=1) < trigger.only_if_mean_below - MARGIN)


def offline_list(trigger: OfflineList, judged: Judged | None, around: Around) -> torch.Tensor:
    del trigger, judged
    return torch.tensor([clip in around.listed for clip in around.clips])


def always(trigger: Always, judged: Judged | None, around: Around) -> torch.Tensor:
    del trigger, judged
    return torch.ones(len(around.clips), dtype=torch.bool)


FORETELL: dict[str, Callable[[Any, Judged | None, Around], torch.Tensor]] = {
    "offline_list": offline_list,
    "always": always,
}
"""Those that look at no answer, and so can tell before there are any."""

TRIGGERS: dict[str, Callable[[Any, Judged, Around], torch.Tensor]] = {
    "all_below": all_below,
    "pass_rate": pass_rate,
    "zero_variance": zero_variance,
    **FORETELL,
}
"""Kind -> (trigger, groups, samples) -> which are hard: (M,), bool."""


def judges(trigger: Any) -> bool:
    """Whether a trigger can tell at all: a threshold is left open only where all samples are kept as they are."""
    return not (isinstance(trigger, AllBelow) and trigger.threshold is None)


def still_bad(trigger: Any, hinted: Judged) -> torch.Tensor:
    """Which groups are hard in spite of the hint: (M,), bool.

    By the trigger, asked again about the hinted answers, where it compares rewards. A hinted answer has its polarity
    right, and a list does not look: for these triggers a group is bad if none of its hinted answers is well-formed.
    """
    if isinstance(trigger, (AllBelow, ZeroVariance)):
        return TRIGGERS[trigger.kind](trigger, hinted, Around((), (), frozenset()))
    return hinted.correct.sum(dim=1) == 0
