"""The loop tells a story: what was submitted, in which order, and what a failure stops."""

from pathlib import Path

from c2f_spec.execution.run import run, save_plan
from c2f_spec.plan.keys import ExperimentSource, Pins, build_plan
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.store.open import open_store
from c2f_spec.targets.base import State
from tests.conftest import load_spec
from tests.support.fake_target import FakeTarget

ENVIRONMENT = LocalEnvironment(c2f="v1", kind="local", store="store", demo=True)


def plan_of(name: str):
    loaded = load_spec(Path(__file__).parents[2] / "specs" / f"{name}.yaml")
    return build_plan(
        [ExperimentSource(loaded.experiment, loaded.document.text.content)],
        Pins(dict.fromkeys(DATASETS, "0" * 64)),
        ENVIRONMENT,
        "here",
    )


def story(target, plan=None) -> list[tuple[str, str]]:
    return [
        (e.stage.label.removesuffix("icwsm2014-movie").strip(), e.status)
        for e in run(plan or plan_of("smoke"), target, wait=target.tick)
    ]


def test_stages_run_after_their_inputs():
    assert story(FakeTarget(slots=1)) == [
        ("prepare", "started"), ("prepare", "done"),
        ("distil chains of thought", "started"), ("distil chains of thought", "done"),
        ("filter the chains", "started"), ("filter the chains", "done"),
        ("supervised fine-tuning", "started"), ("supervised fine-tuning", "done"),
        ("reinforcement learning (GRPO)", "started"), ("reinforcement learning (GRPO)", "done"),
        ("evaluate sft on", "started"), ("evaluate sft on", "done"),
        ("evaluate grpo on", "started"), ("evaluate grpo on", "done"),
        ("ridge baselines", "started"), ("ridge baselines", "done"),
    ]  # fmt: skip


def test_a_second_run_finds_the_work_done():
    target = FakeTarget()
    story(target)
    submitted = list(target.submitted)
    assert {what for _, what in story(target)} == {"reused"}
    assert target.submitted == submitted


def test_a_failure_stops_what_needs_it_and_nothing_else():
    told = dict(story(FakeTarget(failing={"sft"})))
    assert told["supervised fine-tuning"] == "failed"
    assert (
        told["reinforcement learning (GRPO)"]
        == told["evaluate sft on"]
        == told["evaluate grpo on"]
        == "blocked"
    )
    assert told["ridge baselines"] == "done"


def test_no_more_stages_than_slots_run_at_once():
    for slots in (1, 2, 3):
        target = FakeTarget(slots=slots)
        story(target, plan_of("demo"))
        assert target.most_at_once == slots


def test_what_somebody_else_runs_is_followed_and_taken_over_if_it_vanishes():
    plan = plan_of("smoke")
    target = FakeTarget()
    target.states[plan.stages[0].key] = State.RUNNING
    target.vanishing.add(plan.stages[0].key)
    told = story(target, plan)
    assert told[:3] == [("prepare", "following"), ("prepare", "started"), ("prepare", "done")]


def test_the_plan_and_the_preimages_are_written_before_anything_runs(tmp_path):
    plan, objects = plan_of("smoke"), open_store(str(tmp_path))
    save_plan(plan, objects)
    save_plan(plan, objects)
    assert objects.exists(f"plans/{plan.digest}/plan.json")
    assert all(objects.exists(f"preimages/{s.kind}/{s.key}.json") for s in plan.stages)
