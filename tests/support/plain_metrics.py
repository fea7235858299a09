"""The metrics as METHOD 4 reads, clip by clip in plain Python: what `c2f-spec score` is held to.

Classes are decided in float32, as the reference's arrays are; F1 and R squared are scikit-learn's. Undefined is `None`.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
from sklearn.metrics import f1_score, r2_score


def fill(pred, true, policy, family):
    """Pairs of prediction and label under a policy (METHOD 4.5)."""
    pairs = []
    for p, t in zip(pred, true, strict=True):
        if p is not None and math.isfinite(p):
            pairs.append((p, t))
        elif policy == "neutral_fill":
            pairs.append((0.0, t))
        elif policy == "worst_case" and family == "mosi":
            pairs.append((-3.0 if t >= 0 else 3.0, t))
        elif policy == "worst_case":
            pairs.append((1.0 if t <= 0 else -1.0, t))
    return pairs


def mosi(pairs):
    singles = [(float(np.float32(p)), float(np.float32(t))) for p, t in pairs]
    non0 = [(p, t) for p, t in singles if t != 0]
    return {
        "Mult_acc_7": mean(rounded(p, 3) == rounded(t, 3) for p, t in singles),
        "Mult_acc_5": mean(rounded(p, 2) == rounded(t, 2) for p, t in singles),
        "Mult_acc_3": mean(rounded(p, 1) == rounded(t, 1) for p, t in singles),
        "Non0_acc_2": mean((p > 0) == (t > 0) for p, t in non0),
        "Non0_F1_score": f1([p > 0 for p, _ in non0], [t > 0 for _, t in non0], "weighted"),
        "F1_macro": f1([p > 0 for p, _ in non0], [t > 0 for _, t in non0], "macro"),
        "Has0_acc_2": mean((p >= 0) == (t >= 0) for p, t in singles),
        "Has0_F1_score": f1([p >= 0 for p, _ in singles], [t >= 0 for _, t in singles], "weighted"),
        "MAE": mean(abs(p - t) for p, t in pairs),
        "MAE_clipped": mean(abs(clip(p, 3) - t) for p, t in pairs),
        "Corr": corr(pairs),
    }


def sims(pairs):
    pairs = [(clip(p, 1), clip(t, 1)) for p, t in pairs]
    singles = [(float(np.float32(p)), float(np.float32(t))) for p, t in pairs]
    up = [(p > 0, t > 0) for p, t in singles]
    polar = [(p > 0, t > 0) for p, t in singles if bins(t, (-0.1, 0.1)) != 1]
    weak = [(p > 0, t > 0) for p, t in singles if abs(t) <= float(np.float32(0.4))]
    two = len(pairs) > 1 and len({t for _, t in pairs}) > 1
    return {
        "Mult_acc_2": mean(p == t for p, t in up),
        "Mult_acc_3": mean(bins(p, (-0.1, 0.1)) == bins(t, (-0.1, 0.1)) for p, t in singles),
        "Mult_acc_5": mean(bins(p, (-0.7, -0.1, 0.1, 0.7)) == bins(t, (-0.7, -0.1, 0.1, 0.7)) for p, t in singles),
        "F1_score": f1([p for p, _ in up], [t for _, t in up], "weighted"),
        "F1_macro": f1([p for p, _ in up], [t for _, t in up], "macro"),
        "Acc2_non0": mean(p == t for p, t in polar),
        "Mult_acc_2_weak": mean(p == t for p, t in weak),
        "MAE": mean(abs(p - t) for p, t in pairs),
        "Corr": corr(pairs),
        "R_squre": float(r2_score([t for _, t in pairs], [p for p, _ in pairs])) if two else None,
    }  # fmt: skip


def rounded(x, bound):
    """Half to even, as Python's own `round`."""
    return round(clip(x, bound))


def clip(x, bound):
    return max(-bound, min(bound, x))


def bins(x, edges):
    """Right-closed: how many edges, as float32 has them, lie below."""
    return sum(x > float(np.float32(edge)) for edge in edges)


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def f1(pred, true, average):
    return float(f1_score(true, pred, average=average, zero_division=0)) if true else None


def corr(pairs):
    if len({p for p, _ in pairs}) < 2 or len({t for _, t in pairs}) < 2:
        return None
    try:
        return statistics.correlation(*zip(*pairs, strict=True))
    except statistics.StatisticsError:  # they differ by less than a square can be told from 0
        return None
