"""Describe where a model errs: its answers by class of the label, and how its scores relate to the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from c2f_spec.metrics.answers import to_arrays, to_family
from c2f_spec.metrics.families import fine_classes, polarity
from c2f_spec.spec.formats import POLARITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.metrics.bootstrap import Rows
    from c2f_spec.metrics.families import Floats, Ints
    from c2f_spec.spec.datasets import Dataset

BINS = 10
"""Parts of the scale, equally wide."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix: `counts[i][j]` clips of class i were answered j; the last column counts answers without a score."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Bin:
    """The clips whose score lies in one part of the scale; values in units of the labels."""

    score: float
    """Mean score."""
    label: float
    """Mean label; of a calibrated model, the score."""
    error: float
    """1.96 standard errors of the mean label; 0 for a single clip."""
    clips: int


@dataclass(frozen=True, slots=True)
class Calibration:
    bins: tuple[Bin, ...]
    slope: float | None
    """Slope of the labels over the scores, by least squares: below 1, scores are too extreme; above, too timid."""
    bias: float | None
    """Mean score minus mean label."""
    outside: int
    """Count of scores beyond the scale, which are in its first or last part."""


def confusions(runs: Sequence[Rows], dataset: Dataset) -> tuple[Confusion, Confusion]:
    """Return the matrices by polarity and by the family's finest classes (METHOD 1.4, 4.1, 4.2), all runs together."""
    true, pred, parsed = _pool(runs)
    scaled_true = to_family(true, dataset)
    scaled = to_family(np.where(parsed, pred, 0.0), dataset)
    three = _confusion(
        polarity(scaled_true, dataset.family) + 1, polarity(scaled, dataset.family) + 1, parsed, POLARITIES
    )
    names, classes_true, classes = fine_classes(scaled_true, scaled, dataset.family)
    return three, _confusion(classes_true, classes, parsed, names)


def calibration(runs: Sequence[Rows], dataset: Dataset) -> Calibration:
    """Return the calibration of the answers that have a score, all runs together."""
    true, pred, parsed = _pool(runs)
    true, pred = true[parsed], pred[parsed]
    places = np.clip(
        ((pred - dataset.low) / (dataset.high - dataset.low) * BINS).astype(np.int64), 0, BINS - 1
    )
    bins = []
    for place in range(BINS):
        own = places == place
        n = int(own.sum())
        if n:
            error = 1.96 * float(true[own].std(ddof=1)) / n**0.5 if n > 1 else 0.0
            bins.append(Bin(float(pred[own].mean()), float(true[own].mean()), error, n))
    varied = len(pred) > 1 and float(np.ptp(pred)) > 0
    slope = float(np.cov(pred, true)[0, 1] / np.var(pred, ddof=1)) if varied else None
    outside = int(np.sum((pred < dataset.low) | (pred > dataset.high)))
    return Calibration(tuple(bins), slope, float(pred.mean() - true.mean()) if len(pred) else None, outside)


def _pool(runs: Sequence[Rows]) -> tuple[Floats, Floats, Floats]:
    sides = [to_arrays(rows) for rows in runs]
    true, pred, parsed = (
        np.concatenate([getattr(side, name) for side in sides]) for name in ("true", "pred", "parsed")
    )
    return true, pred, parsed


def _confusion(true: Ints, pred: Ints, parsed: Floats, names: tuple[str, ...]) -> Confusion:
    k = len(names)
    answered = np.where(parsed, pred, k)
    counts = np.bincount(true * (k + 1) + answered, minlength=k * (k + 1)).reshape(k, k + 1)
    return Confusion(names, tuple(tuple(int(v) for v in row) for row in counts))
