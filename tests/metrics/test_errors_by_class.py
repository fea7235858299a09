"""Confusion matrices and calibration: counts that add up, edges as the metrics have them."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from c2f_spec.metrics.errors_by_class import calibration, confusions
from c2f_spec.metrics.scoring import score
from c2f_spec.spec.datasets import DATASETS
from tests.metrics.test_effect import rows


@pytest.mark.parametrize(("dataset", "fine"), [("cmu-mosi", "Acc7"), ("ch-sims", "Acc5")])
def test_the_diagonal_is_the_accuracy_and_nothing_is_lost(dataset, fine):
    facts = DATASETS[dataset]
    runs = [rows(dataset, 0.7, seed) for seed in (1, 2)]
    three, classes = confusions(runs, facts)
    for found in (three, classes):
        assert sum(map(sum, found.counts)) == 160
        lost = sum(row[-1] for row in found.counts)
        assert lost == sum(r["score"] is None for run in runs for r in run)
    right = sum(classes.counts[i][i] for i in range(len(classes.classes)))
    assert right / 160 == pytest.approx(np.mean([score(run, facts)[fine] for run in runs]))


def test_polarities_are_those_of_scikit_learn_on_the_family_s_signs():
    facts, run = DATASETS["cmu-mosi"], rows("cmu-mosi", 0.8, 3, lost=0)
    three, _ = confusions([run], facts)
    signs = ([int(np.sign(r[k])) for r in run] for k in ("label", "score"))
    assert [row[:3] for row in three.counts] == [
        tuple(r) for r in confusion_matrix(*signs, labels=[-1, 0, 1]).tolist()
    ]


def test_edges_belong_to_the_lower_class_of_sims():
    facts = DATASETS["ch-sims"]
    run = [{"id": i, "label": v, "score": v} for i, v in enumerate((-0.7, -0.1, 0.1, 0.7, 1.0))]
    _, classes = confusions([run], facts)
    assert [row[i] for i, row in enumerate(classes.counts)] == [1, 1, 1, 1, 1]


def test_a_calibrated_model_has_slope_one_and_a_timid_one_more():
    facts = DATASETS["cmu-mosi"]
    labels = [-3 + 6 * i / 99 for i in range(100)]
    exact = [{"id": i, "label": v, "score": v} for i, v in enumerate(labels)]
    found = calibration([exact], facts)
    assert found.slope == pytest.approx(1)
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert sum(b.clips for b in found.bins) == 100
    assert all(b.score == pytest.approx(b.label) for b in found.bins)
    timid = calibration([[{**r, "score": r["label"] / 2} for r in exact]], facts)
    assert timid.slope == pytest.approx(2)


def test_scores_beyond_the_scale_are_counted_and_no_score_is_no_calibration():
    facts = DATASETS["cmu-mosi"]
    found = calibration(
        [[{"id": 1, "label": 3.0, "score": 9.0}, {"id": 2, "label": 0.0, "score": None}]], facts
    )
    assert (found.outside, found.slope, [b.clips for b in found.bins]) == (1, None, [1])
    assert calibration([[{"id": 2, "label": 0.0, "score": None}]], facts).bins == ()
