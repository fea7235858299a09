"""Actions and reasons: what is looked up, in how many requests, and how the nearest stored stage is told."""

import os
from pathlib import Path

import pytest

from c2f_spec.plan.explain import compare_preimages, describe_changes
from c2f_spec.plan.keys import ExperimentSource, Pins, build_plan
from c2f_spec.plan.reconcile import reconcile
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import seal, unseal
from c2f_spec.store.folder import FolderStore
from tests.conftest import load_spec
from tests.plan.test_plan import HERE_ENVIRONMENT, PINS

SPECS = Path(__file__).parents[2] / "specs"


class CountingObjects(FolderStore):
    """A folder that counts what a store on a network would be asked for."""

    def __init__(self, path):
        super().__init__(path)
        self.requests = []

    def read(self, name):
        self.requests.append(f"read {name.split('/')[0]}")
        return super().read(name)

    def read_many(self, names):
        self.requests.append("read many")
        return {name: data for name in names if (data := super(CountingObjects, self).read(name)) is not None}

    def listing(self, prefix):
        self.requests.append(f"list {prefix.split('/')[0]}")
        return super().listing(prefix)


@pytest.fixture
def objects(tmp_path):
    return CountingObjects(str(tmp_path))


def plan_of(*settings, pins=PINS):
    loaded = load_spec(SPECS / "demo.yaml", settings)
    return build_plan([ExperimentSource(loaded.experiment, loaded.source)], pins, HERE_ENVIRONMENT, "here")


def finish(objects, plan, kinds=None):
    """Commit every stage of `plan`, as if it had run."""
    for stage in plan.stages:
        records.save_preimages(objects, [(stage.kind, stage.key, stage.preimage)])
        if kinds is None or stage.kind in kinds:
            record = Record(
                kind=stage.kind, key=stage.key, attempt="a", nonce="n", files={}, summary={}, provenance={}
            )
            objects.create(records.record_name(stage.kind, stage.key), records.record_bytes(record))


def looked(plan, objects, running=()):
    """Label to action and reason."""
    found = reconcile(plan, objects, lambda stage: stage.label in running)
    return {s.label: (s.action, s.reason) for s in found.stages}


def test_nothing_stored(objects):
    assert set(looked(plan_of(), objects).values()) == {("run", "never run")}


def test_everything_stored(objects):
    finish(objects, plan_of())
    assert set(looked(plan_of(), objects).values()) == {("reuse", "")}


@pytest.mark.parametrize(
    ("setting", "label", "reason"),
    [
        ("grpo.beta=0.2", "reinforcement learning (GRPO)", "grpo.beta 0.1 -> 0.2"),
        ("grpo.learning_rate=3e-6", "reinforcement learning (GRPO)", "grpo.learning_rate 0.00015 -> 3e-6"),
        ("sft.epochs=9", "supervised fine-tuning", "sft.epochs 4 -> 9"),
        ("sft.warmup=0.3", "supervised fine-tuning", "sft.warmup 0.05 -> 0.3"),
        ("filters.score_tolerance=null", "filter the chains", "filters.score_tolerance default -> none; code no longer used: runtime/filters/score_tolerance.py"),
        ("data.limit.train=7", "prepare icwsm2014-movie", "data.limit.train 1600 -> 7"),
        ("grpo.rewards.score.gate=sign", "reinforcement learning (GRPO)", "grpo.rewards.score.gate tag -> sign"),
        ("evaluate.decoding.max_new_tokens=99", "evaluate sft on icwsm2014-movie", "evaluate.decoding.max_new_tokens 160 -> 99"),
    ],
)  # fmt: skip
def test_a_reason_is_the_field_as_its_author_writes_it(objects, setting, label, reason):
    finish(objects, plan_of())
    found = looked(plan_of(setting), objects)
    assert found[label] == ("run", reason)


def test_what_follows_names_the_input_that_changed(objects):
    finish(objects, plan_of())
    plan = plan_of("grpo.beta=0.2")
    grpo = next(s for s in plan.stages if s.kind == "grpo")
    found = looked(plan, objects)
    assert found["evaluate grpo on icwsm2014-nyt"] == ("run", f"input changed: {grpo.name}")
    assert found["evaluate sft on icwsm2014-nyt"] == ("reuse", "")


def test_code_and_data_are_named(objects):
    plan = plan_of()
    old = {
        **plan.stages[0].preimage,
        "code": {**plan.stages[0].preimage["code"], "runtime/stages/prepare.py": "0" * 16, "gone.py": "1"},
    }
    found = describe_changes(compare_preimages(old, plan.stages[0].preimage), plan.name_of)
    assert found == "code no longer used: gone.py; code changed: runtime/stages/prepare.py"
    finish(objects, plan)
    other = Pins({**PINS.datasets, "icwsm2014-nyt": "9" * 64})
    old = PINS.datasets["icwsm2014-nyt"][:10]
    assert looked(plan_of(pins=other), objects)["prepare icwsm2014-nyt"] == (
        "run",
        f"data set icwsm2014-nyt {old} -> 9999999999",
    )


def test_a_long_reason_is_counted(objects):
    finish(objects, plan_of())
    edits = ("grpo.beta=0.2", "grpo.steps=3", "grpo.batch=16", "grpo.warmup=0.1", "grpo.temperature=0.9")
    reason = looked(plan_of(*edits), objects)["reinforcement learning (GRPO)"][1]
    assert reason == "grpo.batch 32 -> 16; grpo.beta 0.1 -> 0.2; grpo.steps 20 -> 3; and 2 more"


def test_follow_planned_failed_and_blocked(objects):
    plan = plan_of()
    finish(objects, plan, kinds=("prepare", "distil"))
    by_kind = {s.kind: s for s in plan.stages}
    records.add_failure(objects, "sft", by_kind["sft"].key, {"message": "no memory"})
    found = looked(plan, objects, running={"filter the chains"})
    assert found["filter the chains"] == ("follow", "running now")
    assert found["evaluate base on icwsm2014-nyt"] == ("run", "planned before, not done")
    assert found["supervised fine-tuning"] == ("failed", "no memory")
    assert found["reinforcement learning (GRPO)"] == ("blocked", f"needs {by_kind['sft'].name}")
    assert found["evaluate grpo on icwsm2014-nyt"][0] == "blocked"


def test_a_record_whose_files_are_gone_is_no_reuse(objects):
    plan = plan_of()
    finish(objects, plan)
    name = records.record_name("distil", next(s.key for s in plan.stages if s.kind == "distil"))
    record = unseal(objects.read(name))
    objects.replace(name, seal({**record, "files": {"x": {"size": 1, "blake3": ""}}}))
    assert looked(plan, objects)["distil chains of thought"][0] == "failed"


def test_the_store_is_asked_once_a_kind_and_not_once_a_stage(objects):
    finish(objects, plan_of())
    sources = [load_spec(SPECS / "demo.yaml", [f"grpo.beta=0.{i}"]) for i in range(1, 9)]
    plan = build_plan(
        [ExperimentSource(s.experiment, s.source) for s in sources], PINS, HERE_ENVIRONMENT, "here"
    )
    objects.requests.clear()
    reconcile(plan, objects, lambda _: False)
    kinds = len({s.kind for s in plan.stages})
    found = {name: objects.requests.count(name) for name in objects.requests}
    assert found["list records"] == kinds
    assert found["list preimages"] <= kinds
    assert found["list failures"] <= kinds
    assert found["read many"] <= 2 * kinds
    assert "read records" not in found
    assert "read preimages" not in found


def test_of_equally_near_stages_the_newest_is_told(objects):
    for beta, seconds in (("0.5", 3000), ("0.3", 1000), ("0.4", 2000)):
        plan = plan_of(f"grpo.beta={beta}")
        finish(objects, plan)
        grpo = next(s for s in plan.stages if s.kind == "grpo")
        os.utime(objects.root / records.record_name("grpo", grpo.key), (seconds, seconds))
    found = looked(plan_of("grpo.beta=0.6"), objects)
    assert found["reinforcement learning (GRPO)"] == ("run", "grpo.beta 0.5 -> 0.6")
