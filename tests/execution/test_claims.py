"""Hypotheses: described by the plan, written down before the results, tested by the report."""

import json

import pytest

from c2f_spec.execution.run import save_plan
from c2f_spec.plan.hypotheses import describe_hypothesis, planned_hypotheses, register
from c2f_spec.report.collect import collect
from c2f_spec.report.outline import html, markdown
from c2f_spec.store import records
from tests.support.report_store import SPEC, experiment, filled, plan

CLAIM = {"metric": "Acc2", "direction": "higher", "min_effect": 0.01, "baseline": "keep"}
GRPO, SFT = ("base", "sft", "grpo"), ("base", "sft")


def pair(claim=CLAIM, seeds=(42,)):
    """`hint` ends in grpo, and `keep` in sft, so that their last checkpoints differ; each on some seeds."""
    made = []
    for name, checkpoints in (("hint", GRPO), ("keep", SFT)):
        for seed in seeds:
            full = f"{name}-s{seed}" if len(seeds) > 1 else name
            evaluate = {**SPEC["evaluate"], "checkpoints": checkpoints}
            made.append(experiment(name=full, seed=seed, evaluate=evaluate, hypothesis=claim))
    return made


def judged(folder, experiments):
    store = filled(folder, *experiments)
    return collect(store.plan, store.objects).hypotheses


def test_a_plan_tells_what_is_claimed_and_a_baseline_claims_nothing():
    assert [(c.name, describe_hypothesis(c)) for c in planned_hypotheses(plan(*pair()))] == [
        ("hint", "Acc2 of grpo on icwsm2014-movie is higher than that of keep, by 1 point or more")
    ]


def test_variants_that_differ_in_their_seed_make_one_claim():
    (claim,) = planned_hypotheses(plan(*pair(seeds=(42, 43, 44))))
    assert claim.name == "hint"
    assert [(v.name, other is not None) for v, _, other in claim.pairs] == [
        (f"hint-s{seed}", True) for seed in (42, 43, 44)
    ]


@pytest.mark.parametrize(
    ("least", "direction", "judgement"),
    [
        (0.01, "higher", "supported"),
        (0.99, "higher", "not supported"),
        (0.3, "higher", "undecided"),
        (0, "lower", "not supported"),
    ],
)
def test_the_whole_interval_decides(least, direction, judgement, tmp_path):
    """Base answers at random; the interval of the gain over it is about [0.2, 0.5]."""
    claim = {**CLAIM, "baseline": "base", "min_effect": least, "direction": direction}
    (verdict,) = judged(tmp_path, [experiment(hypothesis=claim)])
    assert verdict.outcome == judgement, verdict
    assert "95 % interval [" in verdict.evidence
    assert verdict.evidence.endswith("60 clips")


def test_seeds_are_judged_together(tmp_path):
    (verdict,) = judged(tmp_path, pair(seeds=(42, 43)))
    assert verdict.evidence.endswith("60 clips and 2 seeds")


def test_what_cannot_be_judged_says_why(tmp_path):
    (verdict,) = judged(tmp_path / "a", pair()[:1])
    assert (verdict.outcome, verdict.evidence) == ("undecided", "the baseline keep is not in this plan")
    store = filled(tmp_path / "b", *pair(), skip=("evaluate sft on icwsm2014-movie",))
    (verdict,) = collect(store.plan, store.objects).hypotheses
    assert verdict.evidence == "evaluate sft on icwsm2014-movie of keep: not run"


def test_a_claim_of_nothing_is_not_supported_by_nothing(tmp_path):
    claim = {**CLAIM, "min_effect": 0, "baseline": "other"}
    same = [experiment(hypothesis=claim), experiment(name="other", hypothesis=claim)]
    (verdict,) = judged(tmp_path, same)
    assert verdict.outcome == "not supported"
    assert "+0.0 points, 95 % interval [+0.0, +0.0]" in verdict.evidence


def test_a_claim_before_results_is_told_from_one_that_came_after(tmp_path):
    cell = "evaluate grpo on icwsm2014-movie"
    store = filled(tmp_path, *pair(), skip=(cell,))
    save_plan(store.plan, store.objects)
    stage = store.stage(cell)
    store.write(stage, {"predictions.jsonl": ""}, clips=0)
    (before,) = collect(store.plan, store.objects).hypotheses
    assert before.registration == "Written before there were results."

    changed = plan(*pair({**CLAIM, "min_effect": 0.0001}))
    register(changed, store.objects)
    register(changed, store.objects)  # the same words are written once
    assert len(list(store.objects.names("hypotheses"))) == 2
    (after,) = collect(changed, store.objects).hypotheses
    assert after.registration.startswith(
        "Written after there were results. Also claimed of these results: Acc2 of grpo"
    )
    assert after.registration.endswith("by 1 point or more.")
    (again,) = collect(store.plan, store.objects).hypotheses
    assert again.registration.startswith("Written before there were results. Also claimed")


def test_pages_show_verdicts_and_hostile_names_stay_text(tmp_path):
    store = filled(tmp_path, *pair())
    register(store.plan, store.objects)
    report = collect(store.plan, store.objects)
    assert "## Hypotheses" in markdown(report)
    assert f"| {report.hypotheses[0].outcome} | hint: Acc2 of grpo" in markdown(report)
    assert "Written after there were results" in html(report)
    entry = json.loads(store.objects.read(next(iter(store.objects.names("hypotheses")))))
    assert entry["experiment"] == "hint"


def test_without_a_hypothesis_the_store_is_not_asked(tmp_path):
    store = filled(tmp_path)
    register(store.plan, store.objects)
    assert not list(store.objects.names("hypotheses"))
    assert collect(store.plan, store.objects).hypotheses == ()
    assert records.read_record(store.objects, "sft", store.stage("supervised fine-tuning").key)
