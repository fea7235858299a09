"""`c2f-spec score` through the front door, against the reference written out in float32 with scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from c2f_spec.metrics.predictions import score_file


def write(path, pairs):
    rows = [{"id": i, "label": t, "prediction": p} for i, (t, p) in enumerate(pairs)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mmsa_mosi(p, t):
    """METHOD 4.1, as the reference computes it: float32 arrays, `numpy.round`, scikit-learn's weighted F1."""
    non0 = t != 0
    out = {
        f"Mult_acc_{2 * k + 1}": np.mean(np.round(p.clip(-k, k)) == np.round(t.clip(-k, k))) for k in (3, 2)
    }
    out["Has0_acc_2"] = np.mean((p >= 0) == (t >= 0))
    out["Has0_F1_score"] = f1_score(t >= 0, p >= 0, average="weighted")
    if non0.any():
        out["Non0_acc_2"] = np.mean((p[non0] > 0) == (t[non0] > 0))
        out["Non0_F1_score"] = f1_score(t[non0] > 0, p[non0] > 0, average="weighted")
    return out | {"MAE": np.mean(np.abs(p - t))}


def mmsa_sims(p, t):
    """METHOD 4.2: clipped first, right-closed bins."""
    p, t = p.clip(-1, 1), t.clip(-1, 1)
    out = {}
    for k, edges in ((2, [0.0]), (3, [-0.1, 0.1]), (5, [-0.7, -0.1, 0.1, 0.7])):
        bins = [np.searchsorted(np.array(edges, dtype=np.float32), x, side="left") for x in (p, t)]
        out[f"Mult_acc_{k}"] = np.mean(bins[0] == bins[1])
        if k == 2:
            out["F1_score"] = f1_score(bins[1], bins[0], average="weighted")
    return out | {"MAE": np.mean(np.abs(p - t))}


NUMBERS = st.one_of(
    st.integers(-60, 60).map(lambda i: i / 20),
    st.integers(-60, 60).map(lambda i: float(np.float32(i / 20))),  # as a model's float32 is written down
    st.floats(-5, 5),
)


@pytest.mark.parametrize(("family", "reference"), [("mosi", mmsa_mosi), ("sims", mmsa_sims)])
@given(pairs=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40))
@settings(max_examples=120, deadline=None)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_numbers_are_the_reference_s(tmp_path_factory, family, reference, pairs):
    path = write(tmp_path_factory.mktemp("score") / "p.jsonl", pairs)
    true, pred = (np.array(side, dtype=np.float32) for side in zip(*pairs, strict=True))
    expected = {k: float(v) for k, v in reference(pred, true).items()}
    found = score_file(path, family)["metrics"]
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=1e-4)
    if found["Corr"] is not None and min(pred.std(), true.std()) > 0.01:
        used = [x.clip(-1, 1) if family == "sims" else x for x in (pred, true)]
        if min(x.std() for x in used) > 0.01:
            assert found["Corr"] == pytest.approx(np.corrcoef(*used)[0, 1], abs=2e-4)


def test_a_float32_on_the_edge_of_a_bin_is_on_the_edge(tmp_path):
    path = write(tmp_path / "p.jsonl", [(0.0, float(np.float32(0.1))), (0.5, float(np.float32(0.7)))])
    assert score_file(path, "sims")["metrics"]["Mult_acc_5"] == 1


def test_it_prints_what_was_promised(c2f, tmp_path):
    path = write(tmp_path / "p.jsonl", [(-2.4, -1.6), (0, 0.4), (1.6, 1.4), (3, None)])
    printed = json.loads(c2f("score", str(path), "--family", "mosi", "-o", "json").stdout)
    assert set(printed) >= {"n", "coverage", "metrics", "additional", "parsed_only", "neutral_fill"}
    assert (printed["n"], printed["coverage"]) == (4, 0.75)
    assert printed["metrics"]["MAE"] == pytest.approx((0.8 + 0.4 + 0.2 + 6) / 4)
    assert printed["parsed_only"]["MAE"] == pytest.approx(1.4 / 3)
    assert printed["neutral_fill"]["MAE"] == pytest.approx(4.4 / 4)
    assert printed["metrics"]["F1_score"] == printed["metrics"]["Non0_F1_score"]
    assert "3 with a prediction (75.0 %)" in c2f("score", str(path), "--family", "mosi").stdout


def test_undefined_is_null(c2f, tmp_path):
    path = write(tmp_path / "p.jsonl", [(0, 0.5), (0, 0.5)])
    found = json.loads(c2f("score", str(path), "--family", "mosi", "-o", "json").stdout)["metrics"]
    assert found["Non0_acc_2"] is found["Corr"] is None
    empty = write(tmp_path / "empty.jsonl", [])
    assert set(score_file(empty, "sims")["metrics"].values()) == {None}


def test_nan_and_infinity_are_answers_that_cannot_be_read(tmp_path):
    path = write(tmp_path / "p.jsonl", [(1, math.nan), (-1, math.inf), (1, 1)])
    found = score_file(path, "sims")
    assert (found["n_parsed"], found["metrics"]["Mult_acc_2"]) == (1, pytest.approx(1 / 3))


def test_a_range_of_its_own_is_centred_and_scaled(tmp_path):
    stars = write(tmp_path / "stars.jsonl", [(1, 1), (3, 3.4), (5, 4), (4, None)])
    same = write(tmp_path / "same.jsonl", [(-2, -2), (0, 0.4), (2, 1), (1, None)])
    found, twin = score_file(stars, "1:5"), score_file(same, "-2:2")
    assert found["metrics"] == pytest.approx(twin["metrics"])
    assert found["metrics"]["MAE"] == pytest.approx((0 + 0.4 + 1 + 3) / 4)


def test_a_range_may_begin_with_a_minus(c2f, tmp_path):
    path = write(tmp_path / "p.jsonl", [(-2.4, -1.6), (1.6, 1.4)])
    apart, joined = (
        c2f("score", str(path), *words).stdout for words in (("--family", "-3:3"), ("--family=-3:3",))
    )
    assert apart == joined
    message = f"{path}:1: the label of the clip `0` is -2.4, outside of -0.5:0.5"
    assert c2f("score", "--family", "-.5:.5", str(path), check=3).stderr.startswith(message)


@pytest.mark.parametrize(
    "data", [b'{"id": "\xff", "label": 1, "prediction": 1}', '{"id": "a"}'.encode("utf-16")]
)
def test_bytes_that_are_no_text_are_named_by_their_line(c2f, tmp_path, data):
    path = tmp_path / "p.jsonl"
    line = 1 if data.startswith(b"\xff") else 2
    before = '{"id": "é", "label": 1, "prediction": 1}\n' * (line - 1)
    path.write_bytes(before.encode() + data)
    done = c2f("score", str(path), "--family", "mosi", check=3)
    assert f"{path}:{line}: the line is not UTF-8 text" in done.stderr


def test_a_label_outside_of_its_range_is_named_by_its_line(c2f, tmp_path):
    path = write(tmp_path / "p.jsonl", [(1, 1), (6, 5)])
    done = c2f("score", str(path), "--family", "1:5", check=3)
    assert f"{path}:2: the label of the clip `1` is 6, outside of 1:5" in done.stderr


def test_intervals_of_every_metric(c2f, tmp_path):
    pairs = [(math.sin(i) * 3, math.sin(i) * 2 + math.cos(7 * i)) for i in range(80)]
    path = write(tmp_path / "p.jsonl", pairs)
    for family in ("mosi", "sims", "-4:4"):
        found = json.loads(
            c2f("score", str(path), "--family", family, "--bootstrap", "200", "-o", "json").stdout
        )
        assert found["intervals"].keys() == found["metrics"].keys()
        for name, (low, high) in found["intervals"].items():
            assert low <= found["metrics"][name] <= high, name
    refused = c2f("score", str(path), "--family", "mosi", "--bootstrap", "-1", check=64)
    assert "--bootstrap -1: out of range" in refused.stderr


def test_values_equal_in_float32_are_constant(tmp_path):
    """The reference's arrays are float32, where 0.1 + 0.2 is 0.3."""
    path = write(tmp_path / "p.jsonl", [(1, 0.1 + 0.2), (-1, 0.3), (0.5, 0.3)])
    assert score_file(path, "sims")["metrics"]["Corr"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]\n", "p.jsonl:1: the line has no `id`"),
        ('{"id": "a", "label": 1, "prediction": 1}\n{"id": "a"', "p.jsonl:2: the line is not JSON"),
        ('{"id": "a", "label": null, "prediction": 1}\n', "the clip `a` has no finite `label`"),
        ('{"id": "a", "label": 1}\n', "the clip `a` has no `prediction`"),
        ('{"id": 1, "label": 1, "prediction": 1}\n' * 2, "p.jsonl:2: duplicate id `1`"),
        ('{"id": true, "label": 1, "prediction": 1}\n', "p.jsonl:1: the line has no `id`"),
        ('{"id": "a", "label": NaN, "prediction": 1}\n', "the clip `a` has no finite `label`"),
        ('{"id": "a", "label": "1.0", "prediction": 1}\n', "the clip `a` has no finite `label`"),
        (
            '{"id": "a", "label": 1, "prediction": "0.6"}\n',
            'the `prediction` of the clip `a` is neither a number nor null: "0.6"',
        ),
        ('{"id": "a", "label": 1, "prediction": true}\n', "is neither a number nor null: true"),
        ('{"id": "a", "label": 1, "prediction": [1]}\n', "is neither a number nor null: [1]"),
        (
            '{"id": "a", "label": 1, "score": "x"}\n',
            'the `score` of the clip `a` is neither a number nor null: "x"',
        ),
    ],
)
def test_a_wrong_line_is_named(c2f, tmp_path, text, message):
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    done = c2f("score", str(path), "--family", "mosi", check=3)
    assert message in done.stderr


@pytest.mark.parametrize("family", ["mosei", "5:1", "1:1", "a:b", "1:2:3", "0:inf"])
def test_a_wrong_family_is_named(c2f, tmp_path, family):
    done = c2f("score", str(write(tmp_path / "p.jsonl", [(1, 1)])), "--family", family, check=64)
    assert f"no family `{family}`" in done.stderr
