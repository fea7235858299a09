"""Compute every number that `score` and `report` print of one model on one data set (METHOD 4.4, 4.5).

Accuracies, rates and F1 are fractions; MAE and Corr are in the data set's units. `None` is an undefined value (a
constant prediction has no correlation) and is printed "n/a"; it is never 0 and never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from c2f_spec.errors import InvalidData
from c2f_spec.metrics import bootstrap as boot
from c2f_spec.metrics.answers import fill_unparsable, to_arrays, to_family
from c2f_spec.metrics.by_sums import HAS0, columns, values
from c2f_spec.metrics.families import (
    MMSA_KEYS,
    class_metrics,
    correlation,
    determination,
    in_acc2,
    is_positive,
    mean_error,
    polarity,
    share,
)
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.reporting import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.metrics.answers import Arrays, Policy
    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap

    Rows = Sequence[Mapping[str, Any]]

POLARITY: dict[str, int] = {name: i - 1 for i, name in enumerate(POLARITIES)}


def score(
    rows: Rows,
    dataset: Dataset,
    policy: Policy = "worst_case",
    bootstrap: Bootstrap | None = None,
    *,
    tags: bool = True,
    clips: int | None = None,
) -> dict[str, Any]:
    """Compute all metrics of `rows`, with 95 % intervals over clips if `bootstrap` is set.

    `tags`: the answers were asked for a polarity; without, its accuracy is undefined rather than 0.
    `clips`: clips that the split has, if more than were answered; the coverage is of these.
    """
    data = to_arrays(rows)
    parsed = int(data.parsed.sum())
    expected = len(rows) if clips is None else clips
    results: dict[str, Any] = {
        "dataset": dataset.name,
        "family": dataset.family,
        "policy": policy,
        "n": len(rows),
        "n_expected": expected,
        "n_parsed": parsed,
        "coverage": parsed / expected if expected else None,
        **all_metrics(data, dataset, policy),
        "majority_Acc2": _majority(data.true, dataset)[0],
        **_answers(rows, data, dataset, tags=tags),
        "mmsa": MMSA_KEYS[dataset.family],
    }
    if bootstrap is not None:
        results["intervals"] = intervals(data, dataset, policy, bootstrap)
    return results


def all_metrics(data: Arrays, dataset: Dataset, policy: Policy) -> dict[str, Any]:
    """Compute every metric of predictions against labels (METHOD 4.1, 4.2)."""
    pred, true = fill_unparsable(data, dataset, policy)
    return {
        **class_metrics(to_family(pred, dataset), to_family(true, dataset), dataset.family),
        **_regression(pred, true, dataset),
        "n_out_of_range": int(np.sum((data.pred < dataset.low) | (data.pred > dataset.high))),
    }


def difference(
    rows: Rows,
    others: Rows,
    dataset: Dataset,
    policy: Policy = "worst_case",
    bootstrap: Bootstrap | None = None,
) -> dict[str, Any]:
    """Compute Acc2 of `rows` minus that of `others` on the same clips, with its paired 95 % interval.

    With `parsed_only`, on the clips that both answered. Raises `InvalidData` if the clips are not the same.
    """
    by_id = {row["id"]: row for row in others}
    if {row["id"] for row in rows} != by_id.keys() or len(rows) != len(others):
        raise InvalidData(f"the two sets of predictions on `{dataset.name}` are not of the same clips")
    ours, theirs = to_arrays(rows), to_arrays([by_id[row["id"]] for row in rows])
    scope = in_acc2(ours.true, dataset.family)
    if policy == "parsed_only":
        scope = scope & ours.parsed & theirs.parsed
    hits, other_hits = (_acc2_hits(side, dataset, policy) for side in (ours, theirs))
    gain = (hits.astype(np.float64) - other_hits)[scope]
    interval = None if bootstrap is None else boot.difference_interval(hits, other_hits, scope, bootstrap)
    return {
        "delta": float(gain.mean()) if len(gain) else None,
        "interval": interval,
        "excludes_zero": None if interval is None else interval[0] > 0 or interval[1] < 0,
        "n": int(scope.sum()),
    }


def majority_rows(rows: Rows, dataset: Dataset) -> list[dict[str, Any]]:
    """Return predictions that answer every clip with the larger Acc2 class of these labels: the bar a model must pass."""
    _, positive = _majority(to_arrays(rows).true, dataset)
    constant = dataset.high if positive else dataset.low
    return [{"id": row["id"], "label": row["label"], "score": constant} for row in rows]


def _majority(true: Floats, dataset: Dataset) -> tuple[float | None, bool]:
    """Return Acc2 of always answering the larger class, and whether that is the positive one."""
    positive = share(is_positive(true)[in_acc2(true, dataset.family)])
    return (None, False) if positive is None else (max(positive, 1 - positive), positive > 0.5)


def _regression(pred: Floats, true: Floats, dataset: Dataset) -> dict[str, float | None]:
    used, labels = _clip_sims(pred, true, dataset)
    return {
        "MAE": mean_error(used, labels),
        "MAE_clipped": mean_error(np.clip(pred, dataset.low, dataset.high), labels),
        "Corr": correlation(used, labels),
        "R2": determination(used, labels),
    }


def _clip_sims(pred: Floats, true: Floats, dataset: Dataset) -> tuple[Floats, Floats]:
    """Clip both sides of SIMS and leave MOSI's as they are, as MMSA does (METHOD 4.1, 4.2)."""
    if dataset.family == "mosi":
        return pred, true
    return np.clip(pred, dataset.low, dataset.high), np.clip(true, dataset.low, dataset.high)


def _answers(rows: Rows, data: Arrays, dataset: Dataset, *, tags: bool) -> dict[str, float | None]:
    """Return rates of the answers themselves, which do not depend on the policy."""
    n = len(rows)
    tag = np.array([POLARITY.get(str(row.get("polarity")), 9) for row in rows], dtype=np.int64)
    right = [row.get("polarity") is not None and row.get("polarity") == row.get("true") for row in rows]
    both = data.parsed & (tag != 9)
    from_score = polarity(to_family(np.where(data.parsed, data.pred, 0.0), dataset), dataset.family)
    has_tags = bool(n) and tags
    return {
        "format_rate": sum(row.get("well_formed") is True for row in rows) / n if n else None,
        "parse_rate": share(data.parsed),
        "polarity_accuracy": sum(right) / n if has_tags else None,
        "tag_score_agreement": share((tag == from_score)[both]) if has_tags else None,
    }


def _acc2_hits(data: Arrays, dataset: Dataset, policy: Policy) -> Bools:
    """Return which clips are right in Acc2. Under `parsed_only` the caller leaves out those without a score."""
    pred, true = fill_unparsable(data, dataset, "worst_case" if policy == "parsed_only" else policy)
    hits: Bools = is_positive(pred) == is_positive(true)
    return hits


def intervals(
    data: Arrays, dataset: Dataset, policy: Policy, bootstrap: Bootstrap
) -> dict[str, boot.Interval]:
    """Return the 95 % interval over clips of every metric of the family, all from the same resamples."""
    names = (*METRICS[dataset.family], *(HAS0 if dataset.family == "mosi" else ()))
    scope = data.parsed if policy == "parsed_only" else np.ones(len(data.true), dtype=bool)
    if not scope.any():
        return dict.fromkeys(names)
    summands = [columns(data, name, dataset, policy, scope) for name in names]
    drawn = boot.sums([column for of_one in summands for column in of_one], bootstrap)
    ends = np.cumsum([len(of_one) for of_one in summands])
    parts = np.split(drawn, ends[:-1], axis=1)
    return {name: boot.percentiles(values(part, name)) for name, part in zip(names, parts, strict=True)}
