"""A saved plan: read back as it was, and believed in nothing that can be worked out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from c2f_spec.errors import Stale
from c2f_spec.plan.build import Given, build
from c2f_spec.plan.saved import from_json, to_json
from tests.conftest import load_spec
from tests.test_plan import HERE_ENVIRONMENT, PINS

SPECS = Path(__file__).parent.parent / "specs"


@pytest.fixture(scope="module")
def plan():
    loaded = load_spec(SPECS / "demo.yaml")
    made = build([Given(loaded.experiment, loaded.source, "specs/demo.yaml")], PINS, HERE_ENVIRONMENT, "here")
    stages = tuple(replace(s, action="run", reason="never run", code="c" * 64) for s in made.stages)
    return replace(made, stages=stages, _by_key={})


def saved(plan, **changes) -> bytes:
    return json.dumps({**to_json(plan), **changes}).encode()


def test_a_plan_is_read_back_as_it_was(plan):
    again = from_json(saved(plan), "plan.json")
    assert again == plan
    assert again.variants[0].experiment == plan.variants[0].experiment
    assert to_json(again) == to_json(plan)


def test_the_digest_is_of_what_runs_and_where_and_not_of_the_actions(plan):
    stages = tuple(replace(s, action="reuse", reason="") for s in plan.stages)
    assert replace(plan, stages=stages, _by_key={}).digest == plan.digest
    elsewhere = plan.environment.model_copy(update={"store": "other"})
    assert replace(plan, environment=elsewhere, _by_key={}).digest != plan.digest
    assert replace(plan, lock={"datasets": {"x": "0" * 64}}, _by_key={}).digest != plan.digest
    moved = plan.stages[0].placement.model_copy(update={"threads": 7})
    first = replace(plan.stages[0], placement=moved)
    assert replace(plan, stages=(first, *plan.stages[1:]), _by_key={}).digest != plan.digest


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
    with pytest.raises(Stale, match=told):
        from_json(data, "plan.json")


def test_an_edited_plan_is_refused(plan):
    stages = to_json(plan)["stages"]
    stages[3] = {**stages[3], "preimage": {**stages[3]["preimage"], "stage": "other"}}
    with pytest.raises(Stale, match=f"was edited: {plan.stages[3].name} does not fit"):
        from_json(saved(plan, stages=stages), "plan.json")
    with pytest.raises(Stale, match="was edited: its digest"):
        from_json(saved(plan, environment_name="elsewhere"), "plan.json")
