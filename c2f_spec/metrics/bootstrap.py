"""Compute percentile intervals over clips (Efron 1979): clips are drawn again, with replacement, and the metric recomputed.

Every metric is computed from sums over clips: of hits, errors, moments, or the four cells of a table (METHOD 4.1, 4.2). A
resample is a count per clip, so its sums are one matrix product, and one draw of clips serves all metrics, all seeds and
both sides of a comparison.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.answers import Arrays, Policy, clip_sims, fill_unparsable, to_family
from c2f_spec.metrics.families import centre, class_hits, in_acc2, is_positive, to_float32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap
    from c2f_spec.spec.reporting import Metric

    Rows = Sequence[Mapping[str, Any]]

Interval = tuple[float, float] | None
LEVEL = 0.95
CHUNK = 1 << 22
"""Most draws in memory at a time, clips times resamples."""
Has0 = Literal["Has0_acc_2", "Has0_F1"]
HAS0: tuple[Has0, ...] = ("Has0_acc_2", "Has0_F1")
"""Metrics of `mosi` beside the primary ones: of all clips, where 0 counts as positive (METHOD 4.1)."""


class Resampled(NamedTuple):
    """A metric of several runs on the same clips, and of the resamples of these clips."""

    metric: Metric | Has0
    summands: list[list[Floats]]
    """The columns of each run, of which the metric is computed: see `columns`."""
    each: Floats
    """The metric of each run, (runs,)."""
    drawn: Floats
    """The metric of each run on each resample, (runs, resamples)."""


def resample(
    runs: Sequence[Arrays],
    scopes: Sequence[Bools],
    metrics: Sequence[Metric | Has0],
    dataset: Dataset,
    policy: Policy,
    bootstrap: Bootstrap,
) -> Iterator[Resampled]:
    """Yield each metric of `runs`, each on the clips in its scope, (clips,), all from the same resamples."""
    summands = [
        [columns(run, metric, dataset, policy, scope) for run, scope in zip(runs, scopes, strict=True)]
        for metric in metrics
    ]
    drawn = sums([column for of_runs in summands for run in of_runs for column in run], bootstrap)
    start = 0
    for metric, of_runs in zip(metrics, summands, strict=True):
        width = len(of_runs[0])
        with np.errstate(over="ignore", invalid="ignore"):  # absurd answers: the metric is then undefined
            whole = np.array([[column.sum() for column in run] for run in of_runs])
        starts = range(start, start + width * len(runs), width)
        start += width * len(runs)
        parts = np.array([values(drawn[:, i : i + width], metric) for i in starts])
        yield Resampled(metric, of_runs, values(whole, metric), parts)


def sums(columns: Sequence[Floats], bootstrap: Bootstrap) -> Floats:
    """Sum each column, (clips,), over the clips of each resample; return (resamples, columns). Equal seeds draw equal clips."""
    table = np.array(columns).T  # (clips, columns)
    with np.errstate(over="ignore", invalid="ignore"):  # absurd answers: the metric is then undefined
        return np.concatenate([counts @ table for counts in _draws(len(table), bootstrap)])


def _draws(n: int, bootstrap: Bootstrap) -> Iterable[Floats]:
    """Return how often each clip is drawn, (resamples, clips), in parts that fit in memory; a draw of one part is cached."""
    size = max(1, CHUNK // n)
    return (
        (_one_draw(n, bootstrap.resamples, bootstrap.seed),)
        if bootstrap.resamples <= size
        else _parts(n, size, bootstrap)
    )


@lru_cache(maxsize=4)
def _one_draw(n: int, resamples: int, seed: int) -> Floats:
    return _counts(np.random.default_rng(seed), n, resamples)


def _parts(n: int, size: int, bootstrap: Bootstrap) -> Iterator[Floats]:
    rng = np.random.default_rng(bootstrap.seed)
    for start in range(0, bootstrap.resamples, size):
        yield _counts(rng, n, min(size, bootstrap.resamples - start))


def _counts(rng: np.random.Generator, n: int, rows: int) -> Floats:
    counts = np.empty((rows, n))
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
    return counts


def percentiles(values: Floats) -> Interval:
    """Return the ends of the middle 95 % of (resamples,); `None` if fewer than half of the resamples define the metric."""
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values) or not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def two_sided(gains: Floats) -> float | None:
    """Return the p-value of no difference: twice the smaller share of resamples, (resamples,), on either side of 0.

    `None` if fewer than half of the resamples define the difference.
    """
    defined = gains[np.isfinite(gains)]
    if 2 * len(defined) < len(gains) or not len(defined):
        return None
    least = min(int(np.sum(defined <= 0)), int(np.sum(defined >= 0)))
    return min(1.0, 2 * (1 + least) / (1 + len(defined)))


def align(rows: Rows, first: Rows, dataset: Dataset) -> list[Mapping[str, Any]]:
    """Return the rows in the order of the clips of `first`. Raise `InvalidData` if the clips differ."""
    by_id = {row["id"]: row for row in rows}
    if len(by_id) != len(rows) or by_id.keys() != {row["id"] for row in first}:
        raise InvalidData(f"the predictions on `{dataset.name}` are not of the same clips")
    return [by_id[row["id"]] for row in first]


def columns(
    side: Arrays, metric: Metric | Has0, dataset: Dataset, policy: Policy, scope: Bools
) -> list[Floats]:
    """Return what each clip adds to the sums that `values` reads, each column (clips,); zeros outside of `scope`.

    The first column of an accuracy is 1 where the answer is right.
    """
    pred, true = fill_unparsable(side, dataset, "worst_case" if policy == "parsed_only" else policy)
    if metric in ("MAE", "Corr"):
        return _regression(clip_sims(pred, dataset), clip_sims(true, dataset), metric, scope)
    pred, true = to_family(pred, dataset), to_family(true, dataset)
    if metric in ("Acc2", "F1", *HAS0):
        if metric in HAS0:
            two, answered, labelled = scope, to_float32(pred) >= 0, to_float32(true) >= 0
        else:
            two = scope & in_acc2(to_float32(true), dataset.family)
            answered, labelled = is_positive(to_float32(pred)), is_positive(to_float32(true))
        if metric in ("Acc2", "Has0_acc_2"):
            return [((answered == labelled) & two).astype(np.float64), two.astype(np.float64)]
        cells = [answered & labelled, answered & ~labelled, ~answered & labelled, ~answered & ~labelled]
        return [(cell & two).astype(np.float64) for cell in cells]
    hits = class_hits(pred, true, int(metric.removeprefix("Acc")), dataset.family)
    return [(hits & scope).astype(np.float64), scope.astype(np.float64)]


def _regression(pred: Floats, true: Floats, metric: Metric | Has0, scope: Bools) -> list[Floats]:
    """Return the errors for MAE, the centred moments for Corr, and a column of ones. Absurd answers may overflow."""
    count = scope.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if metric == "MAE":
            return [np.abs(pred - true) * scope, count]
        means = (side[scope].mean() if scope.any() else 0.0 for side in (pred, true))
        p, t = (centre(np.where(scope, side, mean)) for side, mean in zip((pred, true), means, strict=True))
        return [*(column * scope for column in (p, t, p * p, t * t, p * t)), count]


def values(sums: Floats, metric: Metric | Has0) -> Floats:
    """Compute the metric of each row of sums: (rows, columns of the metric) -> (rows,), NaN where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "Corr":
            p, t, pp, tt, pt, n = sums.T
            root = np.sqrt((pp / n - (p / n) ** 2) * (tt / n - (t / n) ** 2))
            corr: Floats = np.where(root > 1e-12, (pt / n - p * t / n**2) / root, np.nan)
            return np.clip(corr, -1, 1)
        if metric in ("F1", "Has0_F1"):
            both, only_said, only_is, neither = sums.T
            positive, negative = both + only_is, neither + only_said
            high = np.where(positive + both + only_said > 0, 2 * both / (positive + both + only_said), 0.0)
            low = np.where(
                negative + neither + only_is > 0, 2 * neither / (negative + neither + only_is), 0.0
            )
            f1: Floats = (high * positive + low * negative) / (positive + negative)
            return f1
        ratio: Floats = sums[:, 0] / sums[:, 1]
        return ratio
