"""Read predictions into arrays, and put a value in the place of a missing score (METHOD 4.5).

A row of our predictions.jsonl is `{"id", "label", "true", "output", "polarity", "score", "well_formed"}`. Its score is unparsable unless it is a
finite number: NaN would otherwise count as "negative", and infinity as the end of the scale (METHOD 4.3).

A line of another code base's predictions, for `evaluate.import`, is `{"id", "prediction"}` with an optional "label" and
"output". Ids are those of the clips, as the prepared data set has them; a prediction is in the units of its labels, or
`null` if the answer could not be read.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.families import HIGH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from c2f_spec.metrics.families import Bools, Floats
    from c2f_spec.spec.datasets import Dataset


Policy = Literal["worst_case", "neutral_fill", "parsed_only"]
FILE = "predictions.jsonl"
"""Name of the file in the staged copy."""
FORM = 'a line is {"id": …, "prediction": number or null}'
ESCAPED = re.compile("[\udc80-\udcff]")
"""Characters that Python reads in place of bytes that are not UTF-8, so that a message can name the line."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Predictions and labels in the data set's units, all clips, in file order."""

    pred: Floats
    """Float64 (clips,), NaN where unparsable."""
    true: Floats
    parsed: Bools


def finite(value: Any) -> float | None:
    """Return `value` as a float if it is a finite number, else `None`. Booleans are not numbers."""
    if not is_number(value):
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


def clip_sims(scores: Floats, dataset: Dataset) -> Floats:
    """Clip scores or labels of SIMS to their range and leave MOSI's as they are, as MMSA does (METHOD 4.1, 4.2)."""
    return np.clip(scores, dataset.low, dataset.high) if dataset.family == "sims" else scores


def to_family(scores: Floats, dataset: Dataset) -> Floats:
    """Scale scores to the family's range (METHOD 4.1). Raise `InvalidData` if the range is not symmetric about neutral, 0."""
    if dataset.low != -dataset.high:
        raise InvalidData(
            f"the range [{dataset.low}, {dataset.high}] of `{dataset.name}` is not symmetric about 0"
        )
    return scores * (HIGH[dataset.family] / dataset.high)


class Imported(NamedTuple):
    """Another model's answer to a clip."""

    prediction: float | None
    label: float | None
    """The label of the clip according to the file, if it has one."""
    output: str


def read_lines(path: Path, hint: str) -> Iterator[tuple[str, str | int, dict[str, Any]]]:
    """Yield the place, the id and the object of each line of a file of predictions that is not empty.

    Raises `InvalidData` at a line that is not UTF-8, not JSON, without an id, or with a duplicate one; `OSError`.
    """
    ids = set()
    # The file's own lines: str.splitlines would also cut inside of an answer, as at U+2028.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            if not line.isascii() and ESCAPED.search(line):
                raise InvalidData(f"{place}: the line is not UTF-8 text", hint=hint)
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InvalidData(f"{place}: the line is not JSON", hint=hint) from error
            name = row.get("id") if isinstance(row, dict) else None
            if not isinstance(name, str | int) or isinstance(name, bool):
                raise InvalidData(f"{place}: the line has no `id`", hint=hint)
            if name in ids:
                raise InvalidData(f"{place}: duplicate id `{name}`", hint=hint)
            ids.add(name)
            yield place, name, row


def is_number(value: Any) -> bool:
    """Return whether `value` is a number as JSON has them; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_imported(path: Path) -> dict[str, Imported]:
    """Return predictions by id. Raise `InvalidData` that names an invalid line or a duplicate id."""
    predictions: dict[str, Imported] = {}
    try:
        for place, name, row in read_lines(path, FORM):
            if str(name) in predictions:
                raise InvalidData(f"{place}: duplicate id `{name}`", hint=FORM)
            if "prediction" not in row:
                raise InvalidData(f"{place}: the clip `{name}` has no `prediction`", hint=FORM)
            for field in ("prediction", "label"):
                if row.get(field) is not None and not is_number(row[field]):
                    problem = f"the `{field}` of `{name}` is neither a number nor null"
                    raise InvalidData(f"{place}: {problem}", hint=FORM)
            label, output = finite(row.get("label")), str(row.get("output", ""))
            predictions[str(name)] = Imported(finite(row["prediction"]), label, output)
    except OSError as error:
        raise InvalidData(f"cannot read {path}: {error.strerror}") from error
    if not predictions:
        raise InvalidData(f"{path} has no predictions", hint=FORM)
    return predictions
