"""`c2f-spec score` against METHOD 4 clip by clip: every policy, and what is on an edge, missing, constant or far out."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from c2f_spec.metrics.predictions import score_file
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
        path = Path(folder) / "p.jsonl"
        rows = ({"id": i, "label": t, "prediction": p} for i, (t, p) in enumerate(pairs))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return score_file(path, family)


def far_apart(values):
    """Whether a correlation of them is more than rounding errors."""
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
        for part in parts:
            for name in expected.keys() & found[part].keys():
                if (
                    name in {"Corr", "R_squre"}
                    and filled
                    and not all(
                        far_apart(
                            [max(-1, min(1, pair[i])) if family == "sims" else pair[i] for pair in filled]
                        )
                        for i in (0, 1)
                    )
                ):
                    continue
                close = (
                    expected[name]
                    if expected[name] is None
                    else pytest.approx(expected[name], abs=1e-4, rel=1e-6)
                )
                assert found[part][name] == close, (policy, part, name)


def test_every_number_is_looked_at():
    for family in ("mosi", "sims"):
        found = scored([(1.0, 1.0), (-1.0, -0.5), (0.0, 2.0)], family)
        plain = getattr(plain_metrics, family)([(1.0, 1.0)])
        named = found["metrics"].keys() | found["additional"].keys()
        assert named - plain.keys() - {"n_out_of_range", "F1_score", "MAE_clipped"} == set()
        assert found["metrics"]["F1_score"] == found["metrics"].get(
            "Non0_F1_score", found["metrics"]["F1_score"]
        )


def test_the_worked_examples_of_the_method():
    """METHOD 4.6."""
    one = scored(
        list(zip([-2.4, 0, 1.6, 3, -0.4, 0], [-1.6, 0.4, 1.4, 2.6, 0.2, -0.2], strict=True)), "mosi"
    )["metrics"]
    expected = {"Has0_acc_2": .6667, "Has0_F1_score": .6667, "Non0_acc_2": .75, "Non0_F1_score": .7333, "Mult_acc_5": .8333, "Mult_acc_7": .8333, "MAE": .4333, "Corr": .9853}  # fmt: skip
    assert {name: one[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    two = scored([(0.4, 0.5), (2, 2.5), (-1.4, -1.5)], "mosi")["metrics"]
    assert (two["Mult_acc_7"], two["MAE"]) == pytest.approx((0.6667, 0.2333), abs=1e-4)
    three = scored([(3, 9), (-3, -3.2), (1, 1.2)], "mosi")
    assert (three["metrics"]["Mult_acc_7"], three["metrics"]["MAE"]) == pytest.approx((1.0, 2.1333), abs=1e-4)
    assert three["additional"]["MAE_clipped"] == pytest.approx(0.0667, abs=1e-4)
    assert three["additional"]["n_out_of_range"] == 2
    four = scored(list(zip([-0.8, -0.2, 0, 0.2, 0.8], [-0.7, -0.1, 0.1, 0.1, 0.7], strict=True)), "sims")[
        "metrics"
    ]
    expected = {
        "Mult_acc_5": 0.6,
        "Mult_acc_3": 0.8,
        "Mult_acc_2": 0.8,
        "F1_score": 0.8,
        "MAE": 0.1,
        "Corr": 0.9907,
    }
    assert {name: four[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    five = scored([(0, 0), (0.4, 0), (-0.4, 0.2), (1, 1.6)], "sims")["metrics"]
    expected = {
        "Mult_acc_2": 0.5,
        "Mult_acc_3": 0.5,
        "Mult_acc_5": 0.5,
        "F1_score": 0.5,
        "MAE": 0.25,
        "Corr": 0.7269,
    }
    assert {name: five[name] for name in expected} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("family", ["mosi", "sims"])
def test_nothing_parsable_is_wrong_everywhere(family):
    found = scored([(t / 5, None) for t in range(-5, 6)], family)
    accuracies = {name: value for name, value in found["metrics"].items() if "acc" in name}
    assert set(accuracies.values()) == {0.0}
    assert found["coverage"] == 0
    assert set(found["parsed_only"].values()) == {None}
