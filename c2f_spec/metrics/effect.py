"""Combine the runs of several seeds, and compare two models on the same clips: difference, interval, and a test.

Both sides and all seeds are drawn together: a clip that is drawn is drawn for all. Accuracies of one run each are tested
by McNemar's exact test; MAE, Corr, F1, and everything that several seeds are the mean of, by the paired bootstrap: twice
the smaller share of resamples on the wrong side of 0, so that p is below 0.05 where the 95 % interval excludes 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from c2f_spec.metrics.answers import to_arrays
from c2f_spec.metrics.bootstrap import align, percentiles, resample, two_sided

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.answers import Policy
    from c2f_spec.metrics.bootstrap import Interval, Resampled, Rows
    from c2f_spec.metrics.families import Bools
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap
    from c2f_spec.spec.reporting import Metric


class OverSeeds(NamedTuple):
    """A metric over seeds; accuracies and F1 are fractions. `None` where it is undefined for any seed."""

    mean: float | None
    deviation: float | None
    """Standard deviation (of a sample) over seeds; `None` for one seed."""
    interval: Interval
    """95 % interval of the mean, over clips. Seeds are not drawn again."""
    each: tuple[float | None, ...]
    """The metric of each seed."""


def over_seeds(
    runs: Sequence[Rows], metrics: Sequence[Metric], dataset: Dataset, policy: Policy, bootstrap: Bootstrap
) -> Mapping[Metric, OverSeeds]:
    """Return each metric over the runs of all seeds. With `parsed_only`, a run counts on the clips that it answered.

    Raises `InvalidData` if the clips differ.
    """
    sides = [to_arrays(align(rows, runs[0], dataset)) for rows in runs]
    scopes = [side.parsed if policy == "parsed_only" else np.ones(len(side.true), bool) for side in sides]
    if not len(sides[0].true):
        return {metric: OverSeeds(None, None, None, (None,) * len(runs)) for metric in metrics}
    results = {}
    for metric, result in zip(
        metrics, resample(sides, scopes, metrics, dataset, policy, bootstrap), strict=True
    ):
        each = result.each
        defined = bool(np.isfinite(each).all())
        results[metric] = OverSeeds(
            float(each.mean()) if defined else None,
            float(each.std(ddof=1)) if defined and len(each) > 1 else None,
            percentiles(result.drawn.mean(axis=0)) if defined else None,
            tuple(map(_number, each)),
        )
    return results


class Discordant(NamedTuple):
    """Counts of clips that one side alone has right."""

    ours: int
    theirs: int

    @property
    def p(self) -> float:
        """Return the two-sided p-value of McNemar's exact test; 1 if no clip differs."""
        return mcnemar_exact(self.ours, self.theirs)


def mcnemar_exact(ours: int, theirs: int) -> float:
    """Return McNemar's exact p: 2 P(X <= min(ours, theirs)) of X ~ Binomial(ours + theirs, 1/2), at most 1."""
    n, least = ours + theirs, min(ours, theirs)
    k = np.arange(1, least + 1, dtype=np.float64)
    log_chosen = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])  # of n, 0 to `least`
    top = log_chosen.max()
    log_tail = top + np.log(np.exp(log_chosen - top).sum()) - n * np.log(2.0)
    return float(min(1.0, 2.0 * np.exp(log_tail)))


MCNEMAR, BOOTSTRAP = "McNemar, exact", "paired bootstrap"


class Effect(NamedTuple):
    """The difference of two models in one metric, means over seeds; accuracies and F1 are fractions."""

    metric: Metric
    value: float | None
    baseline: float | None
    delta: float | None
    interval: Interval
    p: float | None
    """Two-sided p-value."""
    test: str
    discordant: tuple[Discordant, ...]
    """One entry a seed; empty unless the metric is an accuracy."""
    clips: int
    seeds: int

    @property
    def excludes_zero(self) -> bool | None:
        """Return whether 0 is outside of the interval; `None` without an interval."""
        return None if self.interval is None else self.interval[0] > 0 or self.interval[1] < 0


def effect(
    pairs: Sequence[tuple[Rows, Rows]], metric: Metric, dataset: Dataset, policy: Policy, bootstrap: Bootstrap
) -> Effect:
    """Compare pairs of a seed's predictions and the baseline's in one metric. Raise `InvalidData` if the clips differ."""
    ours, theirs = zip(*pairs, strict=True)
    return effects(ours, theirs, (metric,), dataset, policy, bootstrap)[0]


def effects(
    ours: Sequence[Rows],
    theirs: Sequence[Rows],
    metrics: Sequence[Metric],
    dataset: Dataset,
    policy: Policy,
    bootstrap: Bootstrap,
) -> tuple[Effect, ...]:
    """Compare two sides in each metric, all from the same resamples. A side is the runs of its seeds, equally many or not.

    With `parsed_only`, on the clips that all runs answered. Raises `InvalidData` if the clips differ.
    """
    sides = [[to_arrays(align(rows, ours[0], dataset)) for rows in runs] for runs in (ours, theirs)]
    runs = [run for side in sides for run in side]
    scope = np.ones(len(runs[0].true), dtype=bool)
    if policy == "parsed_only":
        scope = np.logical_and.reduce([run.parsed for run in runs])
    seeds = len(ours)
    if not scope.any():
        nothing = (None, None, None, None, None, BOOTSTRAP, (), 0, seeds)
        return tuple(Effect(metric, *nothing) for metric in metrics)
    results = resample(runs, [scope] * len(runs), metrics, dataset, policy, bootstrap)
    return tuple(
        _effect(metric, result, seeds, int(scope.sum()))
        for metric, result in zip(metrics, results, strict=True)
    )


def _effect(metric: Metric, result: Resampled, seeds: int, clips: int) -> Effect:
    """Return the difference of the first `seeds` runs and of the others, which are the baseline's."""
    value, baseline = (side.mean() for side in (result.each[:seeds], result.each[seeds:]))
    gain = value - baseline
    gains = result.drawn[:seeds].mean(axis=0) - result.drawn[seeds:].mean(axis=0)
    right = [run[0] > 0 for run in result.summands]
    discordant = _discordant(right[:seeds], right[seeds:]) if metric.startswith("Acc") else ()
    exact = len(discordant) == 1 and len(right) == 2
    defined = bool(np.isfinite(gain))
    return Effect(
        metric,
        _number(value),
        _number(baseline),
        _number(gain),
        percentiles(gains) if defined else None,
        (discordant[0].p if exact else two_sided(gains)) if defined else None,
        MCNEMAR if exact else BOOTSTRAP,
        discordant,
        clips,
        seeds,
    )


def _discordant(ours: Sequence[Bools], theirs: Sequence[Bools]) -> tuple[Discordant, ...]:
    """Count for each seed of ours, against the baseline's seed of the same place, or its only one."""
    if len(theirs) not in (1, len(ours)):
        return ()
    others = theirs if len(theirs) == len(ours) else [theirs[0]] * len(ours)
    return tuple(
        Discordant(int(np.sum(a & ~b)), int(np.sum(b & ~a))) for a, b in zip(ours, others, strict=True)
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
