"""A saved plan: read back as it was, and believed in nothing that can be worked out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from c2f_spec.cli.main import main
from c2f_spec.errors import StalePlan
from c2f_spec.plan.keys import ExperimentSource, build_plan
from c2f_spec.plan.plan_file import from_json, stale_differences, to_json
from c2f_spec.store.open import open_store
from tests.conftest import load_spec
from tests.plan.test_annotate import finish
from tests.plan.test_plan import HERE_ENVIRONMENT, PINS

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture(scope="module")
def plan():
    loaded = load_spec(SPECS / "demo.yaml")
    made = build_plan(
        [ExperimentSource(loaded.experiment, loaded.source, "specs/demo.yaml")],
        PINS,
        HERE_ENVIRONMENT,
        "here",
    )
    stages = tuple(replace(s, action="run", reason="never run", code="c" * 64) for s in made.stages)
    return replace(made, stages=stages)


def saved(plan, **changes) -> bytes:
    return json.dumps({**to_json(plan), **changes}).encode()


def test_a_plan_is_read_back_as_it_was(plan):
    again = from_json(saved(plan), "plan.json")
    assert again == plan
    assert again.variants[0].experiment == plan.variants[0].experiment
    assert to_json(again) == to_json(plan)


def test_the_digest_is_of_what_runs_and_where_and_not_of_the_actions(plan):
    stages = tuple(replace(s, action="reuse", reason="") for s in plan.stages)
    assert replace(plan, stages=stages).digest == plan.digest
    elsewhere = plan.environment.model_copy(update={"store": "other"})
    assert replace(plan, environment=elsewhere).digest != plan.digest
    assert replace(plan, lock={"datasets": {"x": "0" * 64}}).digest != plan.digest
    moved = plan.stages[0].placement.model_copy(update={"threads": 7})
    first = replace(plan.stages[0], placement=moved)
    assert replace(plan, stages=(first, *plan.stages[1:])).digest != plan.digest


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"no", "not JSON"),
        (b"[]", "has format None, made by c2f-spec an unknown version"),
        (b'{"format_version": 2, "version": "9.9"}', "has format 2, made by c2f-spec 9.9; this is c2f-spec"),
        (b'{"format_version": 1}', "not a plan: `version`"),
    ],
)
def test_what_is_no_plan_of_this_version_is_refused(data, told):
    with pytest.raises(StalePlan, match=told):
        from_json(data, "plan.json")


def test_an_edited_plan_is_refused(plan):
    stages = to_json(plan)["stages"]
    stages[3] = {**stages[3], "preimage": {**stages[3]["preimage"], "stage": "other"}}
    with pytest.raises(StalePlan, match=f"was edited: {plan.stages[3].name} does not fit"):
        from_json(saved(plan, stages=stages), "plan.json")
    with pytest.raises(StalePlan, match="was edited: its digest"):
        from_json(saved(plan, environment_name="elsewhere"), "plan.json")


# ---- what moved since a plan was reviewed


def with_actions(plan, *actions):
    """The first stages with these actions, the others stored."""
    given = (*actions, *(["reuse"] * (len(plan.stages) - len(actions))))
    stages = (replace(s, action=a, reason="") for s, a in zip(plan.stages, given, strict=True))
    return replace(plan, stages=tuple(stages))


@pytest.mark.parametrize(
    ("then", "now", "stale"),
    [
        ("run", "run", ""),
        ("run", "reuse", ""),
        ("run", "follow", ""),
        ("follow", "reuse", ""),
        ("unknown", "run", ""),
        ("failed", "failed", ""),
        ("reuse", "run", "was shown as `reuse` and must run now"),
        ("reuse", "failed", "was shown as `reuse` and has failed"),
        ("follow", "run", "was shown as `follow` and must run now"),
        ("failed", "run", "was shown as `failed` and must run now"),
        ("blocked", "run", "was shown as `blocked` and must run now"),
        ("run", "blocked", "was shown as `run` and is blocked now"),
    ],
)
def test_nothing_runs_that_its_reviewer_did_not_see_run(plan, then, now, stale):
    found = stale_differences(with_actions(plan, then), with_actions(plan, now))
    first = plan.stages[0]
    assert found == ([f"{first.name} ({first.label}) {stale}"] if stale else [])


def test_another_digest_is_told_by_what_is_in_it(plan):
    loaded = load_spec(SPECS / "demo.yaml", ["grpo.beta=0.2", "evaluate.baseline=none"])
    other = build_plan([ExperimentSource(loaded.experiment, loaded.source)], PINS, HERE_ENVIRONMENT, "here")
    assert sorted(stale_differences(plan, other)) == [
        "reinforcement learning (GRPO): grpo.beta 0.1 -> 0.2",
        "ridge baselines is gone from `demo`",
    ]
    elsewhere = plan.environment.model_copy(update={"store": "other"})
    assert stale_differences(plan, replace(plan, environment=elsewhere)) == [
        "environment `here`: store store -> other"
    ]
    assert stale_differences(plan, replace(plan, environment_name="there")) == ["environment here -> there"]
    pinned = {"datasets": {**plan.lock["datasets"], "icwsm2014-nyt": "9" * 64}}
    old = plan.lock["datasets"]["icwsm2014-nyt"][:10]
    assert stale_differences(plan, replace(plan, lock=pinned)) == [
        f"c2f.lock: datasets: icwsm2014-nyt {old} -> 9999999999"
    ]
    first = replace(plan.stages[0], placement=plan.stages[0].placement.model_copy(update={"threads": 7}))
    threads = plan.stages[0].placement.threads
    assert stale_differences(plan, replace(plan, stages=(first, *plan.stages[1:]))) == [
        f"{first.label} is placed otherwise: threads {threads} -> 7"
    ]


def test_apply_of_a_plan_runs_it_or_says_what_moved(repository, tiny_spec, capsys):
    def called(*argv) -> tuple[int, str]:
        code = main(list(argv))
        told = capsys.readouterr()
        return code, told.out + told.err

    assert called("plan", "specs/tiny.yaml", "--detailed-exitcode")[0] == 2
    assert called("plan", "specs/tiny.yaml", "--out", "plan.json")[0] == 0
    reviewed = from_json(Path("plan.json").read_bytes(), "plan.json")
    objects = open_store(".c2f/store")
    finish(objects, reviewed)
    assert called("plan", "specs/tiny.yaml", "--detailed-exitcode")[0] == 0
    code, text = called("apply", "plan.json", "--no-report")
    assert (code, text.splitlines()[0]) == (0, "nothing to do: all 3 stages of tiny-stages are done")

    called("plan", "specs/tiny.yaml", "--out", "done.json")
    distil = next(s for s in reviewed.stages if s.kind == "distil")
    objects.delete(f"records/distil/{distil.key}.json")
    code, text = called("apply", "done.json", "--no-report")
    assert code == 5
    assert (
        f"{distil.name} (distil chains of thought) was shown as `reuse` and must run now: planned before"
        in text
    )

    tiny_spec.write_text(
        tiny_spec.read_text().replace("polarity_match: {}", "polarity_match: {}, score_tolerance: null")
    )
    code, text = called("apply", "plan.json", "--no-report")
    assert code == 5
    assert "filter the chains: filters.score_tolerance default -> none" in text
    assert called("apply", "plan.json", "--set", "seed=1")[0] == 64
    tiny_spec.unlink()
    assert "plan.json: specs not found in" in called("apply", "plan.json")[1]
    assert called("apply", "none.json")[0] == 5
