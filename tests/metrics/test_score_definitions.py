"""`c2f-spec score` against METHOD 4 clip by clip: every policy, and what is on an edge, missing, constant or far out."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c2f_spec.metrics.predictions import score_file
from tests.metrics.test_score import write
from tests.support import plain_metrics

PARTS = {
    "worst_case": ("metrics", "additional"),
    "parsed_only": ("parsed_only",),
    "neutral_fill": ("neutral_fill",),
}
EDGES = (-3.0, -2.5, -1.5, -1.0, -0.7, -0.5, -0.4, -0.1, -0.0, 0.0, 0.1, 0.4, 0.5, 0.7, 1.0, 1.5, 2.5, 3.0)
LABELS = st.one_of(
    st.sampled_from(EDGES), st.integers(-15, 15).map(lambda i: i / 5), st.floats(-3, 3, width=32)
)
ANSWERS = st.one_of(
    st.none(), st.sampled_from(EDGES), st.just(math.nan), st.sampled_from((math.inf, -math.inf, 9.0, -40.0)), st.floats(-5, 5)
)  # fmt: skip


def scored(pairs, family):
    with tempfile.TemporaryDirectory() as folder:
        return score_file(write(Path(folder) / "p.jsonl", pairs), family)


def far_apart(values):
    """Return whether a correlation of them is more than rounding errors."""
    return max(values) - min(values) > 1e-3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("family", ["mosi", "sims"])
@given(pairs=st.lists(st.tuples(LABELS, ANSWERS), max_size=30))
@example(pairs=[])
@example(pairs=[(0.0, 0.0)])
@example(pairs=[(0.4, None)])
@example(pairs=[(1.0, 0.5), (1.0, 0.5)])
@example(pairs=[(0.4, 0.5), (2.0, 2.5), (-1.4, -1.5)])
@settings(max_examples=50, deadline=None)
def test_every_number_under_every_policy(family, pairs):
    found = scored(pairs, family)
    true, pred = ([pair[side] for pair in pairs] for side in (0, 1))
    for policy, parts in PARTS.items():
        filled = plain_metrics.fill(pred, true, policy, family)
        expected = getattr(plain_metrics, family)(filled)
        bound = 1 if family == "sims" else math.inf
        sides = [[plain_metrics.clip(pair[i], bound) for pair in filled] for i in (0, 1)]
        for part in parts:
            for name in expected.keys() & found[part].keys():
                if name in {"Corr", "R_squre"} and filled and not all(map(far_apart, sides)):
                    continue
                value = expected[name]
                close = value if value is None else pytest.approx(value, abs=1e-4, rel=1e-6)
                assert found[part][name] == close, (policy, part, name)


def test_every_number_has_a_definition():
    for family in ("mosi", "sims"):
        found = scored([(1.0, 1.0), (-1.0, -0.5), (0.0, 2.0)], family)
        plain = getattr(plain_metrics, family)([(1.0, 1.0)])
        named = found["metrics"].keys() | found["additional"].keys()
        assert named - plain.keys() - {"n_out_of_range", "F1_score", "MAE_clipped"} == set()
        f1 = found["metrics"]["F1_score"]
        assert f1 == found["metrics"].get("Non0_F1_score", f1)


WORKED = {
    "mosi 1": (
        [(-2.4, -1.6), (0, 0.4), (1.6, 1.4), (3, 2.6), (-0.4, 0.2), (0, -0.2)],
        {"Has0_acc_2": 0.6667, "Has0_F1_score": 0.6667, "Non0_acc_2": 0.75, "Non0_F1_score": 0.7333,
         "Mult_acc_5": 0.8333, "Mult_acc_7": 0.8333, "MAE": 0.4333, "Corr": 0.9853},
    ),
    "mosi 2": ([(0.4, 0.5), (2, 2.5), (-1.4, -1.5)], {"Mult_acc_7": 0.6667, "MAE": 0.2333}),
    "mosi 3": (
        [(3, 9), (-3, -3.2), (1, 1.2)],
        {"Mult_acc_7": 1.0, "MAE": 2.1333, "MAE_clipped": 0.0667, "n_out_of_range": 2},
    ),
    "sims 1": (
        [(-0.8, -0.7), (-0.2, -0.1), (0, 0.1), (0.2, 0.1), (0.8, 0.7)],
        {"Mult_acc_5": 0.6, "Mult_acc_3": 0.8, "Mult_acc_2": 0.8, "F1_score": 0.8, "MAE": 0.1, "Corr": 0.9907},
    ),
    "sims 2": (
        [(0, 0), (0.4, 0), (-0.4, 0.2), (1, 1.6)],
        {"Mult_acc_2": 0.5, "Mult_acc_3": 0.5, "Mult_acc_5": 0.5, "F1_score": 0.5, "MAE": 0.25, "Corr": 0.7269},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKED)
def test_the_worked_examples_of_the_method(name):
    """METHOD 4.6."""
    pairs, expected = WORKED[name]
    found = scored(pairs, name.split()[0])
    numbers = {**found["metrics"], **found["additional"]}
    assert {metric: numbers[metric] for metric in expected} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("family", ["mosi", "sims"])
def test_nothing_parsable_is_wrong_everywhere(family):
    found = scored([(t / 5, None) for t in range(-5, 6)], family)
    accuracies = {name: value for name, value in found["metrics"].items() if "acc" in name}
    assert set(accuracies.values()) == {0.0}
    assert found["coverage"] == 0
    assert set(found["parsed_only"].values()) == {None}
