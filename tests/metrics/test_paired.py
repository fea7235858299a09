"""Tests between variants: McNemar's by its definition, the bootstrap's against a loop, seeds as mean and deviation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from c2f_spec.metrics.bootstrap import two_sided
from c2f_spec.metrics.effect import BOOTSTRAP, MCNEMAR, Discordant, effect, effects, mcnemar_exact, over_seeds
from c2f_spec.metrics.scoring import score
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import Bootstrap
from tests.metrics.test_effect import MOSI, SIMS, rows

FEW = Bootstrap(resamples=40)


@given(st.integers(0, 200), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_mcnemar_is_the_two_sided_sign_test(ours, theirs):
    """What statsmodels' `mcnemar(exact=True)` computes: 2 * binom.cdf(min, n, 1/2), at most 1."""
    n, least = ours + theirs, min(ours, theirs)
    by_hand = min(Fraction(1), Fraction(2 * sum(math.comb(n, k) for k in range(least + 1)), 2**n))
    assert mcnemar_exact(ours, theirs) == pytest.approx(float(by_hand), rel=1e-9, abs=1e-300)
    if n:
        assert mcnemar_exact(ours, theirs) == pytest.approx(binomtest(ours, n).pvalue, rel=1e-9)


def test_mcnemar_of_many_clips_does_not_overflow():
    assert 0 < mcnemar_exact(500_000, 502_000) < 0.05
    assert mcnemar_exact(0, 1000) == pytest.approx(2 * 0.5**1000)
    assert mcnemar_exact(0, 0) == mcnemar_exact(7, 7) == 1


NUMBERS = ("value", "baseline", "delta", "interval")


@pytest.mark.parametrize(("dataset", "metrics"), [("cmu-mosi", MOSI), ("ch-sims", SIMS)])
def test_one_draw_for_all_metrics_gives_what_each_gives_alone(dataset, metrics):
    facts = DATASETS[dataset]
    ours, theirs = rows(dataset, 0.8, 1), rows(dataset, 0.4, 2)
    together = effects([ours], [theirs], metrics, facts, "worst_case", FEW)
    assert [e.metric for e in together] == list(metrics)
    alone = [effect([(ours, theirs)], m, facts, "worst_case", FEW) for m in metrics]
    for one, other in zip(
        together, alone, strict=True
    ):  # sums of all metrics at once may round in another order
        for name, value in one._asdict().items():
            assert getattr(other, name) == (pytest.approx(value, rel=1e-12) if name in NUMBERS else value), (
                name
            )


def test_accuracies_are_tested_by_mcnemar_and_the_others_by_the_bootstrap():
    facts = DATASETS["ch-sims"]
    ours, theirs = rows("ch-sims", 0.9, 1), rows("ch-sims", 0.3, 2)
    found = {e.metric: e for e in effects([ours], [theirs], SIMS, facts, "worst_case", FEW)}
    assert {m: e.test for m, e in found.items()} == {
        m: MCNEMAR if m.startswith("Acc") else BOOTSTRAP for m in SIMS
    }
    a, b = (
        {r["id"]: r["score"] is not None and (r["score"] > 0) == (r["label"] > 0) for r in side}
        for side in (ours, theirs)
    )
    only = Discordant(sum(a[i] and not b[i] for i in a), sum(b[i] and not a[i] for i in a))
    assert found["Acc2"].discordant == (only,)
    assert found["Acc2"].p == only.p
    assert found["MAE"].delta < 0
    assert found["MAE"].p == pytest.approx(2 / 41)  # no resample of the 40 is on the other side


def test_several_seeds_are_tested_together_with_mcnemar_s_counts_of_each():
    facts = DATASETS["ch-sims"]
    ours = [rows("ch-sims", 0.9, s) for s in (1, 2, 3)]
    found = effects(ours, [rows("ch-sims", 0.3, 9)], ("Acc2",), facts, "worst_case", FEW)[0]
    assert (found.test, found.seeds, len(found.discordant)) == (BOOTSTRAP, 3, 3)
    uneven = effects(ours, ours[:2], ("Acc2",), facts, "worst_case", FEW)[0]
    assert uneven.discordant == ()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
@settings(max_examples=40, deadline=None)
def test_the_bootstrap_s_p_is_its_definition(gains):
    values = np.array(gains)
    least = min(sum(g <= 0 for g in gains), sum(g >= 0 for g in gains))
    assert two_sided(values) == pytest.approx(min(1, 2 * (least + 1) / (len(gains) + 1)))
    assert two_sided(np.append(values, [math.nan] * (len(gains) + 1))) is None


def test_labels_beyond_the_scale_are_clipped_as_in_the_tables():
    facts = DATASETS["ch-sims"]
    wide = [{**row, "label": 3 * row["label"]} for row in rows("ch-sims", 0.8, 1)]
    found, told = over_seeds([wide], SIMS, facts, "worst_case", FEW), score(wide, facts)
    assert {m: found[m].mean for m in SIMS} == pytest.approx({m: told[m] for m in SIMS}, abs=1e-12)


@pytest.mark.parametrize("policy", ["worst_case", "parsed_only"])
@pytest.mark.parametrize(("dataset", "metrics"), [("cmu-mosi", MOSI), ("ch-sims", SIMS)])
def test_seeds_are_mean_and_standard_deviation(dataset, metrics, policy):
    facts = DATASETS[dataset]
    runs = [rows(dataset, 0.8, seed) for seed in (1, 2, 3)]
    found = over_seeds(runs, metrics, facts, policy, FEW)
    each = [score(run, facts, policy) for run in runs]
    for metric in metrics:
        assert found[metric].mean == pytest.approx(np.mean([s[metric] for s in each]), abs=1e-12)
        assert found[metric].deviation == pytest.approx(np.std([s[metric] for s in each], ddof=1), abs=1e-12)
    single = over_seeds(runs[:1], metrics, facts, policy, FEW)
    assert single["MAE"].deviation is None
    assert single["MAE"].interval[0] < single["MAE"].mean < single["MAE"].interval[1]


def test_one_seed_has_the_interval_of_the_tables():
    facts, runs = DATASETS["cmu-mosi"], [rows("cmu-mosi", 0.6, 4)]
    found = over_seeds(runs, ("Acc2", "MAE", "Corr"), facts, "worst_case", FEW)
    told = score(runs[0], facts, "worst_case", FEW)["intervals"]
    for metric in ("Acc2", "MAE", "Corr"):
        assert found[metric].interval == pytest.approx(told[metric], abs=1e-9)


def test_of_no_clips_nothing_is_defined():
    facts = DATASETS["ch-sims"]
    assert over_seeds([[]], ("Acc2",), facts, "worst_case", FEW)["Acc2"].mean is None
