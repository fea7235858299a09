"""The effect of one model over another: its values are those of `score`, its interval that of a loop over resamples."""

import math
import random

import numpy as np
import pytest

from c2f_spec.errors import InvalidData
from c2f_spec.metrics.effect import effect
from c2f_spec.metrics.scoring import score
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import Bootstrap

MOSI = ("Acc2", "Acc5", "Acc7", "F1", "MAE", "Corr")
SIMS = ("Acc2", "Acc3", "Acc5", "F1", "MAE", "Corr")
CASES = [("cmu-mosi", m) for m in MOSI] + [("ch-sims", m) for m in SIMS]


def rows(dataset, skill, seed, clips=80, lost=0.1):
    """Answers that are right by `skill`; some have no score."""
    facts, draw = DATASETS[dataset], random.Random(seed)
    found = []
    for i in range(clips):
        label = round(random.Random(f"{dataset}{i}").uniform(facts.low, facts.high), 1)
        value = round(skill * label + (1 - skill) * draw.uniform(facts.low, facts.high), 1)
        found.append({"id": f"c{i}", "label": label, "score": None if draw.random() < lost else value})
    return found


@pytest.mark.parametrize(("dataset", "metric"), CASES)
@pytest.mark.parametrize("policy", ["worst_case", "neutral_fill"])
def test_values_are_those_of_the_tables(dataset, metric, policy):
    facts = DATASETS[dataset]
    pairs = [(rows(dataset, 0.8, seed), rows(dataset, 0.4, seed + 10)) for seed in (1, 2)]
    found = effect(pairs, metric, facts, policy, Bootstrap(resamples=20))
    ours = np.mean([score(a, facts, policy)[metric] for a, _ in pairs])
    theirs = np.mean([score(b, facts, policy)[metric] for _, b in pairs])
    assert found.value == pytest.approx(ours, abs=1e-12)
    assert found.baseline == pytest.approx(theirs, abs=1e-12)
    assert found.delta == pytest.approx(ours - theirs, abs=1e-12)
    assert (found.clips, found.seeds) == (80, 2)


@pytest.mark.parametrize(("dataset", "metric"), CASES)
def test_parsed_only_is_of_the_clips_that_all_answered(dataset, metric):
    facts = DATASETS[dataset]
    ours, theirs = rows(dataset, 0.8, 1), list(reversed(rows(dataset, 0.4, 2)))
    both = {r["id"] for r in ours if r["score"] is not None} & {
        r["id"] for r in theirs if r["score"] is not None
    }
    found = effect([(ours, theirs)], metric, facts, "parsed_only", Bootstrap(resamples=20))
    kept = score([r for r in ours if r["id"] in both], facts)[metric]
    assert found.value == pytest.approx(kept, abs=1e-12)
    assert found.clips == len(both)


@pytest.mark.parametrize(("dataset", "metric"), CASES)
def test_the_interval_is_that_of_the_definition(dataset, metric):
    """A loop: draw clips with the same generator, score the drawn clips of both sides, take percentiles."""
    facts, clips, resamples = DATASETS[dataset], 40, 60
    ours, theirs = rows(dataset, 0.7, 3, clips), rows(dataset, 0.3, 4, clips)
    found = effect([(ours, theirs)], metric, facts, "worst_case", Bootstrap(resamples=resamples, seed=5))
    draws = np.random.default_rng(5).integers(0, clips, (resamples, clips))
    gains = []
    for draw in draws:
        a = score([{**ours[i], "id": str(n)} for n, i in enumerate(draw)], facts)[metric]
        b = score([{**theirs[i], "id": str(n)} for n, i in enumerate(draw)], facts)[metric]
        gains.append(math.nan if a is None or b is None else a - b)
    defined = [g for g in gains if not math.isnan(g)]
    assert found.interval == pytest.approx(np.quantile(defined, [0.025, 0.975]), abs=1e-9)


def test_other_clips_are_not_compared():
    pair = rows("ch-sims", 1, 1), rows("ch-sims", 1, 1, 79)
    with pytest.raises(InvalidData, match="not of the same clips"):
        effect([pair], "MAE", DATASETS["ch-sims"], "worst_case", Bootstrap())


def test_what_is_not_defined_has_no_effect():
    nothing = [{"id": "c", "label": 0.5, "score": None}]
    found = effect([(nothing, nothing)], "Acc2", DATASETS["ch-sims"], "parsed_only", Bootstrap(resamples=10))
    assert (found.value, found.interval, found.clips) == (None, None, 0)
    constant = [{"id": f"c{i}", "label": 0.5, "score": 0.1} for i in range(4)]
    pair, few = (constant, constant), Bootstrap(resamples=10)
    assert effect([pair], "Corr", DATASETS["ch-sims"], "worst_case", few).delta is None
