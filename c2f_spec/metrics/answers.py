"""Turn rows of predictions.jsonl into arrays, and put a value in the place of a missing score (METHOD 4.5).

A row is `{"id", "label", "true", "output", "polarity", "score", "well_formed"}`. Its score is unparsable unless it is a
finite number: NaN would otherwise count as "negative", and infinity as the end of the scale (METHOD 4.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.families import HIGH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.datasets import Dataset

Policy = Literal["worst_case", "neutral_fill", "parsed_only"]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Predictions and labels in the data set's units, all clips, in file order."""

    pred: Floats
    """Float64 (clips,), NaN where unparsable."""
    true: Floats
    parsed: Bools


def finite(value: Any) -> float | None:
    """Return `value` as a float if it is a finite number, else `None`. Booleans are not numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def to_arrays(rows: Iterable[Mapping[str, Any]]) -> Arrays:
    """Return the arrays of predictions. Raise `InvalidData` on a row without a finite label."""
    pred, true = [], []
    for row in rows:
        label = finite(row.get("label"))
        if label is None:
            raise InvalidData(f"the prediction for clip `{row.get('id')}` has no finite label")
        score = finite(row.get("score"))
        true.append(label)
        pred.append(math.nan if score is None else score)
    values = np.array(pred, dtype=np.float64)
    return Arrays(values, np.array(true, dtype=np.float64), np.isfinite(values))


def fill_unparsable(data: Arrays, dataset: Dataset, policy: Policy) -> tuple[Floats, Floats]:
    """Return the predictions and labels, each float64 (clips,), that enter the metrics (METHOD 4.5).

    `worst_case` is wrong in every accuracy of the family and costs the largest error on its side of the scale;
    `neutral_fill` says 0; `parsed_only` leaves the clip out and is only legible beside the coverage.
    """
    if policy == "parsed_only":
        return data.pred[data.parsed], data.true[data.parsed]
    if policy == "neutral_fill":
        return np.where(data.parsed, data.pred, 0.0), data.true
    if dataset.family == "mosi":
        worst = np.where(data.true >= 0, dataset.low, dataset.high)
    else:
        worst = np.where(data.true <= 0, dataset.high, dataset.low)
    return np.where(data.parsed, data.pred, worst), data.true


def to_family(scores: Floats, dataset: Dataset) -> Floats:
    """Scale scores to the family's range (METHOD 4.1). Raise `InvalidData` if the range is not symmetric about neutral, 0."""
    if dataset.low != -dataset.high:
        raise InvalidData(
            f"the range [{dataset.low}, {dataset.high}] of `{dataset.name}` is not symmetric about 0"
        )
    return scores * (HIGH[dataset.family] / dataset.high)
