"""Compute the metrics of a file of predictions from any source.

A line is `{"id", "label", "prediction"}`: both in the units of the annotations, the prediction `null` if the answer could
not be read. What our own evaluation writes is read too; there the prediction is called `score`.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from c2f_spec.errors import InvalidData, InvalidSpec, UsageError
from c2f_spec.metrics.answers import Arrays, Policy, finite, is_number, read_lines
from c2f_spec.metrics.families import HIGH, MMSA_KEYS
from c2f_spec.metrics.scoring import all_metrics, intervals
from c2f_spec.spec.datasets import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.evaluate import Bootstrap

ADDITIONAL = {
    "mosi": {"Acc3": "Mult_acc_3", "F1_macro": "F1_macro", "Has0_acc_2": "Has0_acc_2", "Has0_F1": "Has0_F1_score"},
    "sims": {"F1_macro": "F1_macro", "Acc2_non0": "Acc2_non0", "Acc2_weak": "Mult_acc_2_weak", "R2": "R_squre"},
}  # fmt: skip
"""Metrics beside the primary ones (METHOD 4.4), by MMSA's names where it has them, its spelling included."""
FORM = 'a line is {"id": …, "label": number, "prediction": number or null}'
SHOWN = 40
"""Characters of a wrong value in a message."""


def read_predictions(path: Path, lowest: float = -math.inf, highest: float = math.inf) -> Arrays:
    """Read predictions. Raise `InvalidSpec` at the first invalid line, duplicate id, or label out of [`lowest`, `highest`]."""
    pred, true = [], []
    try:
        for place, name, row in read_lines(path, FORM):
            label, score = _values(place, name, row, lowest, highest)
            true.append(label)
            pred.append(math.nan if score is None else score)
    except InvalidData as error:
        raise InvalidSpec(error.message, hint=error.hint) from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    values = np.array(pred, dtype=np.float64)
    return Arrays(values, np.array(true, dtype=np.float64), np.isfinite(values))


def _values(
    place: str, name: str | int, row: dict[str, Any], lowest: float, highest: float
) -> tuple[float, float | None]:
    """Return the label and the prediction of a line. Raise `InvalidData` if one of them is invalid."""
    label = finite(row.get("label"))
    if label is None:
        raise InvalidData(f"{place}: the clip `{name}` has no finite `label`", hint=FORM)
    field = "prediction" if "prediction" in row else "score"
    if field not in row:
        raise InvalidData(f"{place}: the clip `{name}` has no `prediction`", hint=FORM)
    if row[field] is not None and not is_number(row[field]):
        problem = (
            f"the `{field}` of the clip `{name}` is neither a number nor null: {format_value(row[field])}"
        )
        raise InvalidData(f"{place}: {problem}", hint=FORM)
    if not lowest <= label <= highest:
        beyond = f"the label of the clip `{name}` is {label:g}, outside of {lowest:g}:{highest:g}"
        raise InvalidData(f"{place}: {beyond}", hint="--family names the range of the labels")
    return label, finite(row[field])


def format_value(value: Any) -> str:
    """Return a value as JSON, cut to what a message can hold."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def parse_range(word: str) -> tuple[Dataset, float]:
    """Parse `mosi`, `sims` or `LOW:HIGH` into the range of a file and its middle. Raise `UsageError` if it is invalid.

    A range of its own is taken to the middle and scaled to that of `mosi`, for the classes; errors stay in its units.
    """
    if word == "mosi":
        return Dataset("mosi", "", "en", -HIGH["mosi"], HIGH["mosi"], "mosi"), 0.0
    if word == "sims":
        return Dataset("sims", "", "zh", -HIGH["sims"], HIGH["sims"], "sims"), 0.0
    try:
        low, high = (float(end) for end in word.split(":"))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"no family `{word}`", hint="mosi, sims, or a range such as -4:4 or 1:5")
    half = (high - low) / 2
    return Dataset(word, "", "en", -half, half, "mosi"), low + half


def score_file(path: Path, family: str, bootstrap: Bootstrap | None = None) -> dict[str, Any]:
    """Compute the metrics of a file by the primary policy, and by the two others (METHOD 4.4, 4.5).

    Returns `{"n", "n_parsed", "coverage", "family", "metrics", "additional", "parsed_only", "neutral_fill"}`, and
    `"intervals"` with a bootstrap. Accuracies and F1 are fractions; an undefined number is `None`.
    """
    dataset, middle = parse_range(family)
    # MMSA clips labels beyond its own ranges; who names a range has said that labels lie in it.
    low, high = (float(end) for end in family.split(":")) if ":" in family else (-math.inf, math.inf)
    read = read_predictions(path, low, high)
    data = Arrays(read.pred - middle, read.true - middle, read.parsed)
    by_policy: dict[Policy, dict[str, Any]] = {
        policy: all_metrics(data, dataset, policy) for policy in ("worst_case", "parsed_only", "neutral_fill")
    }
    names = MMSA_KEYS[dataset.family]
    primary = by_policy["worst_case"]
    more = {theirs: primary[ours] for ours, theirs in ADDITIONAL[dataset.family].items()}
    parsed = int(data.parsed.sum())
    results: dict[str, Any] = {
        "n": len(data.true),
        "n_parsed": parsed,
        "coverage": parsed / len(data.true) if len(data.true) else None,
        "family": family,
        "metrics": _named(primary, names),
        "additional": {**more, **{name: primary[name] for name in ("MAE_clipped", "n_out_of_range")}},
        "parsed_only": _named(by_policy["parsed_only"], names),
        "neutral_fill": _named(by_policy["neutral_fill"], names),
    }
    if bootstrap is not None:
        results["intervals"] = _named(intervals(data, dataset, "worst_case", bootstrap), names)
    return results


def _named(metrics: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return metrics by MMSA's names. `F1_score` is the primary F1 of every family: weighted, over the classes of Acc2."""
    named = {theirs: metrics[ours] for ours, theirs in names.items() if ours in metrics}
    return {**named, "F1_score": metrics["F1"]} if "F1" in metrics else named
