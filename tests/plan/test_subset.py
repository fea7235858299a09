"""`--until`: a plan's beginning, with nothing in it that it does not need."""

from __future__ import annotations

import pytest

from c2f_spec.errors import UsageError
from c2f_spec.plan.model import plan_until, with_dependents, with_inputs
from tests.execution.test_run import plan_of


def kinds(plan):
    return [s.kind for s in plan.stages]


def test_until_keeps_what_is_needed_and_no_more():
    plan = plan_of("smoke")
    part = plan_until(plan, "sft")
    assert kinds(part) == ["prepare", "distil", "filter", "sft"]
    assert part.request.until == "sft"
    assert part.digest != plan.digest
    assert [s.key for s in part.stages] == [s.key for s in plan.stages if s.kind in kinds(part)]
    assert part.variants[0].stages == tuple(s.key for s in part.stages)


def test_until_the_last_kind_leaves_other_ends_out():
    assert "baseline" not in kinds(plan_until(plan_of("smoke"), "evaluate"))


def test_a_kind_that_the_plan_has_not_is_told_with_those_it_has():
    with pytest.raises(UsageError, match="no stage of kind `serve`") as caught:
        plan_until(plan_of("smoke"), "serve")
    assert "prepare, distil" in caught.value.hint


def test_what_needs_and_what_follows():
    plan = plan_of("smoke")
    sft = next(s.key for s in plan.stages if s.kind == "sft")
    assert {plan.stage(k).kind for k in with_inputs(plan.stage, [sft])} == {
        "prepare",
        "distil",
        "filter",
        "sft",
    }
    assert {plan.stage(k).kind for k in with_dependents(plan, [sft])} == {"sft", "grpo", "evaluate"}
