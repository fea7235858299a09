"""Compute every number that `score` and `report` print of one model on one data set (METHOD 4.4, 4.5).

Accuracies, rates and F1 are fractions; MAE and Corr are in the data set's units. `None` is an undefined value (a
constant prediction has no correlation) and is printed "n/a"; it is never 0 and never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from c2f_spec.metrics.answers import clip_sims, fill_unparsable, to_arrays, to_family
from c2f_spec.metrics.bootstrap import HAS0, percentiles, resample
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
    from c2f_spec.metrics.answers import Arrays, Policy
    from c2f_spec.metrics.bootstrap import Interval, Rows
    from c2f_spec.metrics.families import Floats
    from c2f_spec.spec.datasets import Dataset
    from c2f_spec.spec.evaluate import Bootstrap

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
    used, labels = clip_sims(pred, dataset), clip_sims(true, dataset)
    return {
        "MAE": mean_error(used, labels),
        "MAE_clipped": mean_error(np.clip(pred, dataset.low, dataset.high), labels),
        "Corr": correlation(used, labels),
        "R2": determination(used, labels),
    }


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


def intervals(data: Arrays, dataset: Dataset, policy: Policy, bootstrap: Bootstrap) -> dict[str, Interval]:
    """Return the 95 % interval over clips of every metric of the family, all from the same resamples."""
    names = (*METRICS[dataset.family], *(HAS0 if dataset.family == "mosi" else ()))
    scope = data.parsed if policy == "parsed_only" else np.ones(len(data.true), dtype=bool)
    if not scope.any():
        return dict.fromkeys(names)
    results = resample([data], [scope], names, dataset, policy, bootstrap)
    return {result.metric: percentiles(result.drawn[0]) for result in results}
