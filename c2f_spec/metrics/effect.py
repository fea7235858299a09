"""How much better one model is than another on the same clips, in any metric, with its paired bootstrap interval.

Every metric here is a function of sums over clips (hits, errors, moments, or the four cells of a table), so a resample is
a row of sums (`bootstrap.sums`). Both sides and all seeds are drawn together: a clip that is drawn is drawn for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from c2f_spec.errors import DataWrong
from c2f_spec.metrics import bootstrap as boot
from c2f_spec.metrics.answers import Arrays, Policy, arrays, filled, to_family
from c2f_spec.metrics.families import binary, centred, class_hits, in_binary, single

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.claims import Metric
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap

    Rows = Sequence[Mapping[str, Any]]


class Effect(NamedTuple):
    """Means over seeds, in the metric's own units: accuracies and F1 are fractions."""

    value: float | None
    baseline: float | None
    delta: float | None
    interval: boot.Interval
    clips: int
    seeds: int


def effect(
    pairs: Sequence[tuple[Rows, Rows]], metric: Metric, dataset: Dataset, policy: Policy, bootstrap: Bootstrap
) -> Effect:
    """`pairs` are a seed's predictions and the baseline's. The value of a metric is its mean over seeds.

    With `parsed_only`, on the clips that both sides of every seed answered. Raises `DataWrong` if the clips differ.
    """
    sides = [arrays(_in_order(rows, pairs[0][0], dataset)) for pair in pairs for rows in pair]
    scope = np.ones(len(sides[0].true), dtype=bool)
    if policy == "parsed_only":
        scope = np.logical_and.reduce([side.parsed for side in sides])
    width = len(_columns(sides[0], metric, dataset, policy, scope))
    every = [column for side in sides for column in _columns(side, metric, dataset, policy, scope)]
    whole = np.array([[column.sum() for column in every]])
    if not scope.any():
        return Effect(None, None, None, None, 0, len(pairs))
    ours, theirs = _values(whole, metric, width)
    drawn, others = _values(boot.sums(every, bootstrap), metric, width)
    gain = ours[0] - theirs[0]
    return Effect(
        _number(ours[0]),
        _number(theirs[0]),
        _number(gain),
        boot.percentiles(drawn - others) if np.isfinite(gain) else None,
        int(scope.sum()),
        len(pairs),
    )


def _in_order(rows: Rows, first: Rows, dataset: Dataset) -> list[Mapping[str, Any]]:
    """The rows in the order of the first side's clips."""
    by_id = {row["id"]: row for row in rows}
    if len(by_id) != len(rows) or by_id.keys() != {row["id"] for row in first}:
        raise DataWrong(f"the predictions on `{dataset.name}` are not of the same clips")
    return [by_id[row["id"]] for row in first]


def _columns(side: Arrays, metric: Metric, dataset: Dataset, policy: Policy, scope: Bools) -> list[Floats]:
    """What a clip adds to the sums that `_metric` reads; zeros outside of `scope`."""
    pred, true = filled(side, dataset, "worst_case" if policy == "parsed_only" else policy)
    if metric in ("MAE", "Corr"):
        used = np.clip(pred, dataset.low, dataset.high) if dataset.family == "sims" else pred
        if metric == "MAE":
            return [np.abs(used - true) * scope, scope.astype(np.float64)]
        p, t = (
            centred(np.where(scope, values, values[scope].mean() if scope.any() else 0.0))
            for values in (used, true)
        )
        return [column * scope for column in (p, t, p * p, t * t, p * t)] + [scope.astype(np.float64)]
    pred, true = to_family(pred, dataset), to_family(true, dataset)
    if metric in ("Acc2", "F1"):
        two = scope & in_binary(single(true), dataset.family)
        says, is_ = binary(single(pred)), binary(single(true))
        if metric == "Acc2":
            return [((says == is_) & two).astype(np.float64), two.astype(np.float64)]
        cells = [says & is_, says & ~is_, ~says & is_, ~says & ~is_]
        return [(cell & two).astype(np.float64) for cell in cells]
    hits = class_hits(pred, true, int(metric.removeprefix("Acc")), dataset.family)
    return [(hits & scope).astype(np.float64), scope.astype(np.float64)]


def _values(table: Floats, metric: Metric, width: int) -> tuple[Floats, Floats]:
    """The metric of both sides, mean over seeds, of each row of sums."""
    found = [_metric(table[:, i : i + width], metric) for i in range(0, table.shape[1], width)]
    return np.mean(found[0::2], axis=0), np.mean(found[1::2], axis=0)


def _metric(sums: Floats, metric: Metric) -> Floats:
    """NaN where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "Corr":
            p, t, pp, tt, pt, n = sums.T
            root = np.sqrt((pp / n - (p / n) ** 2) * (tt / n - (t / n) ** 2))
            corr: Floats = np.where(root > 1e-12, (pt / n - p * t / n**2) / root, np.nan)
            return np.clip(corr, -1, 1)
        if metric == "F1":
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


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
