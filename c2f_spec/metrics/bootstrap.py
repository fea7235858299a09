"""Compute percentile intervals over clips (Efron 1979): clips are drawn again, with replacement, and the metric recomputed.

A resample is a count per clip, so every metric that is a ratio of sums over clips is one matrix product; correlation
is one of centred moments. Paired comparisons draw the same clips for both sides.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.evaluate import Bootstrap

Interval = tuple[float, float] | None
LEVEL = 0.95
CHUNK = 1 << 22
"""Most draws in memory at a time, clips times resamples."""


def sums(columns: Sequence[Floats], bootstrap: Bootstrap) -> Floats:
    """Sum each column, (clips,), over the clips of each resample; return (resamples, columns). Equal seeds draw equal clips."""
    table = np.array(columns).T  # (clips, columns)
    with np.errstate(over="ignore", invalid="ignore"):  # of absurd answers: the metric is then undefined
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


def difference_interval(hits: Bools, others: Bools, scope: Bools, bootstrap: Bootstrap) -> Interval:
    """Return the 95 % interval of the difference of two accuracies on the clips in `scope`; all inputs are (clips,)."""
    if not scope.any():
        return None
    inside = scope.astype(np.float64)
    gain, count = sums([(hits.astype(np.float64) - others) * inside, inside], bootstrap).T
    return percentiles(_ratio(gain, count))


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


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)
