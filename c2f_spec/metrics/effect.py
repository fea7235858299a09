"""Compare two models on the same clips: the difference of a metric, its interval, and a test.

Both sides and all seeds are drawn together: a clip that is drawn is drawn for all. Accuracies of one run each are tested
by McNemar's exact test; MAE, Corr, F1, and everything that several seeds are the mean of, by the paired bootstrap: twice
the smaller share of resamples on the wrong side of 0, so that p is below 0.05 where the 95 % interval excludes 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from c2f_spec.metrics import bootstrap as boot
from c2f_spec.metrics.answers import to_arrays
from c2f_spec.metrics.by_sums import align, columns, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.metrics.answers import Arrays, Policy
    from c2f_spec.metrics.by_sums import Rows
    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap
    from c2f_spec.spec.reporting import Metric


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
    interval: boot.Interval
    p: float | None
    """Two-sided p-value."""
    test: str
    discordant: tuple[Discordant, ...]
    """One entry a seed; empty unless the metric is an accuracy."""
    clips: int
    seeds: int


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
    summands = [[columns(run, metric, dataset, policy, scope) for run in runs] for metric in metrics]
    drawn = boot.sums([c for metric in summands for run in metric for c in run], bootstrap)
    results, start = [], 0
    for metric, of_runs in zip(metrics, summands, strict=True):
        width = len(of_runs[0])
        part = drawn[:, start : start + width * len(runs)]
        start += width * len(runs)
        results.append(_effect(metric, of_runs, part, sides, int(scope.sum())))
    return tuple(results)


def _effect(
    metric: Metric,
    of_runs: Sequence[Sequence[Floats]],
    drawn: Floats,
    sides: Sequence[Sequence[Arrays]],
    clips: int,
) -> Effect:
    seeds, others = len(sides[0]), len(sides[1])
    width = len(of_runs[0])
    whole = np.array([[column.sum() for run in of_runs for column in run]])
    value, baseline = (side[0] for side in _means(whole, metric, width, seeds))
    resampled, other = _means(drawn, metric, width, seeds)
    gain, gains = value - baseline, resampled - other
    right = [run[0] > 0 for run in of_runs]
    discordant = _discordant(right[:seeds], right[seeds:]) if metric.startswith("Acc") else ()
    exact = len(discordant) == seeds == others == 1
    defined = bool(np.isfinite(gain))
    return Effect(
        metric,
        _number(value),
        _number(baseline),
        _number(gain),
        boot.percentiles(gains) if defined else None,
        (discordant[0].p if exact else boot.two_sided(gains)) if defined else None,
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


def _means(table: Floats, metric: Metric, width: int, seeds: int) -> tuple[Floats, Floats]:
    """Return the metric of both sides, mean over seeds: (rows, columns) -> (rows,) each."""
    results = [values(table[:, i : i + width], metric) for i in range(0, table.shape[1], width)]
    return np.mean(results[:seeds], axis=0), np.mean(results[seeds:], axis=0)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
