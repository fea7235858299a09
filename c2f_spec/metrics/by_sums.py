"""Compute every metric from sums over clips: of hits, errors, moments, or the four cells of a table (METHOD 4.1, 4.2).

So a resample of the clips is a row of sums (`bootstrap.sums`), and one draw of clips serves all metrics, all seeds and
both sides of a comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.answers import Arrays, Policy, fill_unparsable, to_family
from c2f_spec.metrics.families import centre, class_hits, in_acc2, is_positive, to_float32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.reporting import Metric

    Rows = Sequence[Mapping[str, Any]]

Has0 = Literal["Has0_acc_2", "Has0_F1"]
HAS0: tuple[Has0, ...] = ("Has0_acc_2", "Has0_F1")
"""Metrics of `mosi` beside the primary ones: of all clips, where 0 counts as positive (METHOD 4.1)."""


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
        # MMSA clips both sides of SIMS for everything and leaves MOSI's as they are (METHOD 4.1, 4.2).
        ends = (dataset.low, dataset.high) if dataset.family == "sims" else (-np.inf, np.inf)
        return _regression(np.clip(pred, *ends), np.clip(true, *ends), metric, scope)
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
