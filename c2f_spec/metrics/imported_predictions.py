"""Read predictions of another code base, for `evaluate.import`: JSON lines of "id", "prediction", and optional "label", "output".

Ids are those of the clips, as the prepared data set has them; a prediction is in the units of its labels, or `null` if
the answer could not be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.answers import finite

if TYPE_CHECKING:
    from pathlib import Path

FILE = "predictions.jsonl"
"""Name of the file in the staged copy."""
FORM = 'a line is {"id": …, "prediction": number or null}'


class Imported(NamedTuple):
    """Another model's answer to a clip."""

    prediction: float | None
    label: float | None
    """The label of the clip according to the file, if it has one."""
    output: str


def read_imported(path: Path) -> dict[str, Imported]:
    """Return predictions by id. Raise `InvalidData` that names an invalid line or a duplicate id."""
    predictions: dict[str, Imported] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = list(
                file
            )  # str.splitlines would also cut at what ends lines inside of an answer, such as U+2028
    except OSError as error:
        raise InvalidData(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidData(f"{path} is not UTF-8 text", hint=FORM) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        row = _object(line, place)
        name = row.get("id")
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise InvalidData(f"{place}: the line has no `id`", hint=FORM)
        if str(name) in predictions:
            raise InvalidData(f"{place}: duplicate id `{name}`")
        if "prediction" not in row:
            raise InvalidData(f"{place}: the clip `{name}` has no `prediction`", hint=FORM)
        for field in ("prediction", "label"):
            value = row.get(field)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InvalidData(
                    f"{place}: the `{field}` of `{name}` is neither a number nor null", hint=FORM
                )
        predictions[str(name)] = Imported(
            finite(row["prediction"]), finite(row.get("label")), str(row.get("output", ""))
        )
    if not predictions:
        raise InvalidData(f"{path} has no predictions", hint=FORM)
    return predictions


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidData(f"{place}: the line is not JSON", hint=FORM) from error
    if not isinstance(row, dict):
        raise InvalidData(f"{place}: the line is no object", hint=FORM)
    return row
