"""The metrics against METHOD 4.6, against a slow definition in plain Python, and on input that means to do harm."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.answers import finite, to_arrays
from c2f_spec.metrics.effect import effect
from c2f_spec.metrics.scoring import majority_rows, score
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import Bootstrap

MOSI, SIMS, MOVIE = DATASETS["cmu-mosi"], DATASETS["ch-sims"], DATASETS["icwsm2014-movie"]
ACCURACIES = ("Acc7", "Acc5", "Acc3", "Acc2", "Acc2_non0", "Has0_acc_2", "Has0_F1", "F1", "F1_macro")
BOOTSTRAP = Bootstrap(resamples=400, seed=1)


def rows(true, pred, **more):
    pairs = zip(true, pred, strict=True)
    return [
        {"id": f"c{i}", "label": t, "score": p, "well_formed": True, **more} for i, (t, p) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("value", "nearest"), [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (-2.5, -2)]
)
def test_halves_round_to_even(value, nearest):
    hit = score(rows([nearest, -nearest or 3], [value, value]), MOSI)
    assert hit["Acc7"] == 0.5


@pytest.mark.parametrize(
    "bad", [None, math.nan, math.inf, -math.inf, "0.5", True, 10**400], ids=lambda v: str(v)[:5]
)
@pytest.mark.parametrize("dataset", [MOSI, SIMS, MOVIE])
def test_all_unparsable_is_wrong_everywhere(dataset, bad):
    true = [-0.9, -0.3, -0.05, 0, 0.05, 0.3, 0.9]
    found = score(rows(true, [bad] * 7), dataset)
    assert [k for k in ACCURACIES if found.get(k) not in (0, None)] == []
    assert found["parse_rate"] == found["coverage"] == 0
    assert found["n"] == 7


def test_nan_is_not_negative():
    """MMSA counts NaN as the negative class (METHOD 4.3)."""
    assert score(rows([-1, -2], [math.nan, math.nan]), MOSI)["Acc2"] == 0


def test_policies():
    answers = rows([2, 0.5, -1, 0], [2, None, None, 0])
    worst, neutral, parsed = (score(answers, MOSI, p) for p in ("worst_case", "neutral_fill", "parsed_only"))
    assert (worst["MAE"], neutral["MAE"], parsed["MAE"]) == pytest.approx(((3.5 + 4) / 4, 1.5 / 4, 0))
    assert (worst["Acc2"], neutral["Acc2"], parsed["Acc2"]) == pytest.approx((1 / 3, 2 / 3, 1))
    assert [f["n"] for f in (worst, neutral, parsed)] == [4, 4, 4]
    assert [f["coverage"] for f in (worst, neutral, parsed)] == [0.5] * 3


def test_coverage_is_of_the_clips_expected():
    found = score(rows([1, -1], [1, None]), MOSI, clips=4)
    assert (found["parse_rate"], found["coverage"], found["n_expected"]) == (0.5, 0.25, 4)


@pytest.mark.parametrize("constant", [0.1, 0.0, -3.0])
def test_constant_predictions_have_no_correlation(constant):
    found = score(rows([1, -1, 2, 0.3], [constant] * 4), MOSI, bootstrap=BOOTSTRAP)
    assert found["Corr"] is None
    assert found["intervals"]["Corr"] is None
    assert found["intervals"]["MAE"] is not None


@pytest.mark.parametrize("dataset", [MOSI, SIMS])
def test_nothing_is_undefined_and_not_an_error(dataset):
    found = score([], dataset, bootstrap=BOOTSTRAP)
    assert found["Acc2"] is found["MAE"] is found["Corr"] is found["coverage"] is None


def test_neutral_labels_only_have_no_acc2():
    found = score(rows([0, 0], [0, 1]), MOSI, bootstrap=BOOTSTRAP)
    assert found["Acc2"] is found["F1"] is found["majority_Acc2"] is found["intervals"]["Acc2"] is None
    assert found["Has0_acc_2"] == 1


def test_classes_of_a_wider_range_are_taken_in_the_family_range():
    """On [-4, 4], 2.0 is 1.5 of 3 and rounds to 2, as 2.6 (1.95) does; the error stays in the data set's units."""
    found = score(rows([2.0, -4.0], [2.6, -3.4]), MOVIE)
    assert found["Acc7"] == 1
    assert found["MAE"] == pytest.approx(0.6)
    assert score(rows([2.0], [None]), MOVIE)["MAE"] == 6


def test_rates_of_the_answers():
    answers = [
        {"id": "a", "label": 1, "true": "positive", "polarity": "positive", "score": 1, "well_formed": True},
        {"id": "b", "label": 1, "true": "positive", "polarity": "positive", "score": -1, "well_formed": True},
        {"id": "c", "label": -1, "true": "negative", "polarity": "neutral", "score": 0, "well_formed": False},
        {"id": "d", "label": -1, "true": "negative", "polarity": None, "score": None, "well_formed": False},
    ]
    found = score(answers, MOSI)
    assert found["format_rate"] == 0.5
    assert found["parse_rate"] == 0.75
    assert found["polarity_accuracy"] == 0.5
    assert found["tag_score_agreement"] == pytest.approx(2 / 3)
    direct = score(answers, MOSI, tags=False)
    assert direct["polarity_accuracy"] is direct["tag_score_agreement"] is None


def test_sims_tag_agreement_has_a_neutral_band():
    answers = rows([0, 0.1], [0.1, -0.1], polarity="neutral")
    assert score(answers, SIMS)["tag_score_agreement"] == 0.5


def test_a_label_that_is_no_number_is_refused():
    with pytest.raises(InvalidData, match="clip `c0` has no finite label"):
        to_arrays(rows([None], [1]))


def test_absurd_scores_do_not_break_anything():
    found = score(rows([1, -1, 2], [1e308, -1e308, 1e308]), MOSI, bootstrap=BOOTSTRAP)
    assert found["MAE"] is None
    assert found["Acc2"] == 1
    assert found["Corr"] == pytest.approx(0.9449, abs=1e-3)


# The definition again, in plain Python, one clip at a time.


def slow_f1(pairs):
    total = 0.0
    for c in (False, True):
        tp = sum(p == t == c for p, t in pairs)
        wrong = sum((p == c) != (t == c) for p, t in pairs)
        f = 2 * tp / (2 * tp + wrong) if tp else 0.0
        total += f * sum(t == c for _, t in pairs) / len(pairs)
    return total


def slow_bin(x, edges):
    return sum(x > e for e in edges)


def slow(true, pred, dataset):
    scale = (3 if dataset.family == "mosi" else 1) / dataset.high
    pairs = [(p * scale, t * scale) for p, t in zip(pred, true, strict=True)]
    n = len(pairs)
    if dataset.family == "mosi":
        out = {
            f"Acc{2 * k + 1}": sum(round(max(-k, min(k, p))) == round(max(-k, min(k, t))) for p, t in pairs)
            / n
            for k in (3, 2, 1)
        }
        two = [(p > 0, t > 0) for p, t in pairs if t != 0]
        has0 = [(p >= 0, t >= 0) for p, t in pairs]
        out |= {"Has0_acc_2": sum(p == t for p, t in has0) / n, "Has0_F1": slow_f1(has0)}
    else:
        clip = [(max(-1, min(1, p)), max(-1, min(1, t))) for p, t in pairs]
        two = [(p > 0, t > 0) for p, t in clip]
        out = {
            f"Acc{k}": sum(slow_bin(p, e) == slow_bin(t, e) for p, t in clip) / n
            for k, e in ((3, (-0.1, 0.1)), (5, (-0.7, -0.1, 0.1, 0.7)))
        }
        pred = [max(-1, min(1, p)) for p in pred]
    out |= {
        "Acc2": sum(p == t for p, t in two) / len(two) if two else None,
        "F1": slow_f1(two) if two else None,
    }
    return out | {"MAE": sum(abs(p - t) for p, t in zip(pred, true, strict=True)) / n}


def grid(dataset):
    """On a grid, so that zeros, halves and edges of bins are met."""
    low, high = int(dataset.low * 20), int(dataset.high * 20)
    label = st.integers(low, high).map(lambda i: i / 20)
    answer = st.integers(2 * low, 2 * high).map(lambda i: i / 20)
    return st.lists(st.tuples(label, answer), min_size=1, max_size=30)


@pytest.mark.parametrize("dataset", [MOSI, SIMS, MOVIE], ids=lambda d: d.name)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_equals_the_slow_definition(dataset, data):
    true, pred = zip(*data.draw(grid(dataset)), strict=True)
    found = score(rows(true, pred), dataset)
    expected = slow(true, pred, dataset)
    assert {k: found[k] for k in expected} == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_answer_is_a_fraction_or_undefined(values):
    labels = [(i % 7) - 3 for i in range(len(values))]
    found = score(rows(labels, values), MOSI, bootstrap=Bootstrap(resamples=20))
    numbers = [v for k, v in found.items() if k in ACCURACIES and v is not None]
    assert all(0 <= v <= 1 for v in numbers)
    assert finite(found["MAE"]) is not None or found["MAE"] is None


# Intervals.


def noisy(n, noise, seed):
    draw = random.Random(seed)
    true = [round(draw.uniform(-3, 3), 1) for _ in range(n)]
    return true, [t + draw.gauss(0, noise) for t in true]


def test_intervals_hold_the_estimate_and_are_reproducible():
    answers = rows(*noisy(300, 2, 3))
    found = score(answers, MOSI, bootstrap=BOOTSTRAP)
    for name in ("Acc2", "MAE", "Corr"):
        low, high = found["intervals"][name]
        assert low < found[name] < high
    assert found == score(answers, MOSI, bootstrap=BOOTSTRAP)
    assert found["intervals"] != score(answers, MOSI, bootstrap=Bootstrap(resamples=400, seed=2))["intervals"]


def test_width_of_an_interval_is_the_textbook_one():
    """An accuracy of p over n clips has a standard error of sqrt(p (1 - p) / n)."""
    true = [1.0] * 400
    answers = rows(true, [1.0] * 280 + [-1.0] * 120)
    low, high = score(answers, MOSI, bootstrap=Bootstrap(resamples=4000))["intervals"]["Acc2"]
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.7 * 0.3 / 400), rel=0.08)


def test_interval_equals_a_loop_over_resamples():
    import numpy as np

    true, pred = noisy(40, 2, 5)
    few = Bootstrap(resamples=50, seed=4)
    found = score(rows(true, pred), MOSI, bootstrap=few)["intervals"]
    t, p = np.array(true), np.array(pred)
    draws = np.random.default_rng(4).integers(0, 40, (50, 40))
    mae = [np.mean(np.abs(p[d] - t[d])) for d in draws]
    corr = [np.corrcoef(p[d], t[d])[0, 1] for d in draws]
    acc2 = [np.mean((p[d] > 0) == (t[d] > 0)) for d in ([i for i in d if t[i] != 0] for d in draws)]
    for name, values in (("MAE", mae), ("Corr", corr), ("Acc2", acc2)):
        assert found[name] == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def difference(ours, theirs, policy="worst_case"):
    return effect([(ours, theirs)], "Acc2", MOSI, policy, BOOTSTRAP)


def test_paired_difference_is_narrower_than_two_apart():
    true, pred = noisy(300, 2, 7)
    better = rows(true, [t if i % 10 == 0 else p for i, (t, p) in enumerate(zip(true, pred, strict=True))])
    gain = difference(better, rows(true, pred))
    low, high = gain.interval
    assert 0 <= low < gain.delta < high < 0.1
    assert gain.excludes_zero == (low > 0)


def test_difference_pairs_by_id_and_not_by_place():
    true, pred = noisy(50, 2, 9)
    answers = rows(true, pred)
    gain = difference(answers, answers[::-1])
    assert (gain.delta, gain.interval, gain.excludes_zero) == (0, (0, 0), False)
    with pytest.raises(InvalidData, match="not of the same clips"):
        difference(answers, answers[1:])


def test_difference_on_parsed_clips_only():
    ours, theirs = rows([1, -1, 2], [1, None, 2]), rows([1, -1, 2], [-1, -1, 2])
    gain = difference(ours, theirs, "parsed_only")
    assert (gain.clips, gain.delta) == (2, 0.5)


@pytest.mark.parametrize("dataset", [MOSI, SIMS])
def test_majority_rows_score_the_majority(dataset):
    answers = rows([0.5, 0.2, -0.3, 0, 1], [0] * 5)
    found = score(answers, dataset)
    assert score(majority_rows(answers, dataset), dataset)["Acc2"] == found["majority_Acc2"]


def test_package_itself_needs_no_numpy():
    code = "import sys, c2f_spec.metrics; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
