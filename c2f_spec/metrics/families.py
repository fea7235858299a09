"""Compute accuracies and F1 of two families of data sets from scores in the family's range (METHOD 4.1, 4.2).

Definitions are those of MMSA, `utils/metricsTop.py` (`__eval_mosei_regression`, `__eval_sims_regression`), so that
numbers can be set beside published ones: `mosi` rounds half to even and leaves neutral labels out of Acc2; `sims`
clips to [-1, 1] and bins to the right-closed intervals below. All inputs are finite float64 arrays of equal length;
classes are decided in float32, as there: a model's 0.1 is written as 0.10000000149, and lies on the edge all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

Family = Literal["mosi", "sims"]
HIGH: dict[Family, float] = {"mosi": 3.0, "sims": 1.0}
"""Upper end of a family's range; the lower one is its negative."""

ACC3_EDGES = (-0.1, 0.1)
ACC5_EDGES = (-0.7, -0.1, 0.1, 0.7)
WEAK = 0.4
"""Labels up to here are weak (ch-sims-v2's own copy of the metrics, METHOD 4.2)."""

MMSA_KEYS: dict[Family, dict[str, str]] = {
    "mosi": {
        "Acc7": "Mult_acc_7", "Acc5": "Mult_acc_5", "Acc2": "Non0_acc_2", "F1": "Non0_F1_score",
        "Has0_acc_2": "Has0_acc_2", "Has0_F1": "Has0_F1_score", "MAE": "MAE", "Corr": "Corr",
    },
    "sims": {
        "Acc5": "Mult_acc_5", "Acc3": "Mult_acc_3", "Acc2": "Mult_acc_2", "F1": "F1_score", "MAE": "MAE", "Corr": "Corr",
    },
}  # fmt: skip
"""MMSA's name of each metric, by ours."""


def polarity(scores: Floats, family: Family) -> Ints:
    """Return -1, 0 or 1 by the family's three classes (METHOD 1.4); (clips,) -> (clips,)."""
    if family == "mosi":
        return np.sign(scores).astype(np.int64)
    return _bins(to_float32(scores), ACC3_EDGES) - 1


def to_float32(scores: Floats) -> Singles:
    """Convert to the precision of the reference. What would not fit lies beyond every class anyway."""
    return np.clip(scores, -1e9, 1e9).astype(np.float32)


def is_positive(scores: Floats | Singles) -> Bools:
    """Return which scores are in the positive class of Acc2, in both families. Exactly 0 is not positive, as in MMSA."""
    return scores > 0


def in_acc2(true: Floats | Singles, family: Family) -> Bools:
    """Return which clips count in Acc2: in `mosi` those whose label is not neutral (METHOD 4.4), in `sims` all."""
    return true != 0 if family == "mosi" else np.ones(len(true), dtype=bool)


def class_metrics(scores: Floats, labels: Floats, family: Family) -> dict[str, float | None]:
    """Return accuracies and F1 as fractions; `None` where the family has no such metric or no clip defines it."""
    pred, true = to_float32(scores), to_float32(labels)
    scope = in_acc2(true, family)
    two_pred, two_true = is_positive(pred)[scope], is_positive(true)[scope]
    shared = {
        "Acc2": share(two_pred == two_true),
        "F1": f1(two_pred, two_true),
        "F1_macro": f1(two_pred, two_true, macro=True),
    }
    if family == "sims":
        polar = polarity(labels, family) != 0
        weak = np.abs(true) <= np.float32(WEAK)
        return {
            "Acc7": None,
            "Acc5": share(class_hits(scores, labels, 5, family)),
            "Acc3": share(class_hits(scores, labels, 3, family)),
            **shared,
            "Acc2_non0": share((is_positive(pred) == is_positive(true))[polar]),
            "Acc2_weak": share((is_positive(pred) == is_positive(true))[weak]),
        }
    has0_pred, has0_true = pred >= 0, true >= 0
    return {
        **{f"Acc{k}": share(class_hits(scores, labels, k, family)) for k in (7, 5, 3)},
        **shared,
        "Has0_acc_2": share(has0_pred == has0_true),
        "Has0_F1": f1(has0_pred, has0_true),
    }


def class_hits(scores: Floats, labels: Floats, classes: int, family: Family) -> Bools:
    """Return which clips are in the right one of 3, 5 or 7 classes, as the family has them."""
    pred, true = to_float32(scores), to_float32(labels)
    if family == "sims":
        edges = {3: ACC3_EDGES, 5: ACC5_EDGES}[classes]
        binned: Bools = _bins(pred, edges) == _bins(true, edges)
        return binned
    rounded: Bools = _rounded(pred, classes // 2) == _rounded(true, classes // 2)
    return rounded


def fine_classes(labels: Floats, scores: Floats, family: Family) -> tuple[tuple[str, ...], Ints, Ints]:
    """Return names of the family's finest classes (Acc7, Acc5), and the class of each label and score, from 0."""
    if family == "sims":
        strengths = ("strong −", "weak −", "neutral", "weak +", "strong +")
        return strengths, _bins(to_float32(labels), ACC5_EDGES), _bins(to_float32(scores), ACC5_EDGES)
    bound = int(HIGH["mosi"])
    names = tuple(f"{v:+d}".replace("-", "−") if v else "0" for v in range(-bound, bound + 1))
    true, pred = (_rounded(to_float32(values), bound).astype(np.int64) + bound for values in (labels, scores))
    return names, true, pred


def share(hits: Bools) -> float | None:
    """Return the share of true values; `None` for an empty array."""
    return float(np.mean(hits)) if len(hits) else None


def f1(pred: Bools, true: Bools, *, macro: bool = False) -> float | None:
    """Return F1 over both classes, weighted by their support or, with `macro`, unweighted over the classes that occur.

    As `sklearn.metrics.f1_score` with `average="weighted"` or `"macro"`; a class without a hit counts 0.
    """
    if not len(true):
        return None
    scores, weights = [], []
    for positive in (False, True):
        hits = int(np.sum((pred == positive) & (true == positive)))
        predicted, support = int(np.sum(pred == positive)), int(np.sum(true == positive))
        if predicted + support:
            scores.append(2 * hits / (predicted + support))
            weights.append(1 if macro else support)
    return float(np.average(scores, weights=weights))


def correlation(pred: Floats, true: Floats) -> float | None:
    """Return Pearson's correlation; `None` if either side is constant or there are fewer than two clips."""
    if len(true) < 2 or is_constant(pred) or is_constant(true):
        return None
    p, t = centre(pred), centre(true)
    norm = float(np.linalg.norm(p) * np.linalg.norm(t))
    return float(np.clip(p @ t / norm, -1, 1)) if norm > 0 else None


def is_constant(values: Floats) -> bool:
    """Check for a single value in the precision of the reference: noise in later digits has no meaningful correlation."""
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
    return bool(singles.min() == singles.max())


def centre(values: Floats) -> Floats:
    """Scale to at most 1 in size, then to mean 0: correlation does not change, and squares cannot overflow."""
    scaled = values / max(1.0, float(np.max(np.abs(values))))
    moved: Floats = scaled - scaled.mean()
    return moved


def mean_error(pred: Floats, true: Floats) -> float | None:
    """Return the mean absolute error; `None` without clips, or if an absurd answer makes it too large for a float."""
    if not len(true):
        return None
    with np.errstate(over="ignore"):
        error = float(np.mean(np.abs(pred - true)))
    return error if np.isfinite(error) else None


def determination(pred: Floats, true: Floats) -> float | None:
    """Return R squared as `sklearn.metrics.r2_score` does; `None` if the labels are constant or fewer than two."""
    if len(true) < 2 or is_constant(true):
        return None
    with np.errstate(over="ignore", under="ignore"):
        error, spread = float(np.sum((true - pred) ** 2)), float(np.sum((true - true.mean()) ** 2))
    return 1 - error / spread if spread > 0 and np.isfinite(error / spread) else None


def _rounded(scores: Singles, bound: int) -> Singles:
    """Round half to even, as `numpy.round`: 0.5 is 0, 1.5 is 2, 2.5 is 2."""
    rounded: Singles = np.rint(np.clip(scores, -bound, bound))
    return rounded


def _bins(scores: Singles, edges: tuple[float, ...]) -> Ints:
    """Return right-closed bins: a score on an edge belongs to the lower class."""
    return np.digitize(np.clip(scores, -1, 1), np.array(edges, dtype=np.float32), right=True)
