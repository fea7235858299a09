"""`--until`: a plan's beginning, with nothing in it that it does not need."""

from __future__ import annotations

from pathlib import Path

import pytest

from c2f_spec.errors import WrongUsage
from c2f_spec.plan.subset import following, needed, until
from tests.test_run import plan_of


def kinds(plan):
    return [s.kind for s in plan.stages]


def test_until_keeps_what_is_needed_and_no_more():
    plan = plan_of("smoke")
    part = until(plan, "sft")
    assert kinds(part) == ["prepare", "distil", "filter", "sft"]
    assert part.asked.until == "sft"
    assert part.digest != plan.digest
    assert [s.key for s in part.stages] == [s.key for s in plan.stages if s.kind in kinds(part)]
    assert part.variants[0].stages == tuple(s.key for s in part.stages)


def test_until_the_last_kind_leaves_other_ends_out():
    assert "baseline" not in kinds(until(plan_of("smoke"), "evaluate"))


def test_a_kind_that_the_plan_has_not_is_told_with_those_it_has():
    with pytest.raises(WrongUsage, match="no stage of kind `merge`") as caught:
        until(plan_of("smoke"), "merge")
    assert "prepare, distil" in caught.value.hint


def test_what_needs_and_what_follows():
    plan = plan_of("smoke")
    sft = next(s.key for s in plan.stages if s.kind == "sft")
    assert {plan.stage(k).kind for k in needed(plan, [sft])} == {"prepare", "distil", "filter", "sft"}
    assert {plan.stage(k).kind for k in following(plan, [sft])} == {"sft", "grpo", "evaluate"}


def test_apply_until_runs_a_part_and_apply_the_rest(c2f, tiny_spec):
    first = c2f("apply", "specs/tiny.yaml", "--until", "distil", "--no-report").stdout
    assert "2 stages, 0 stored, 2 to run" in first
    assert "filter" not in first
    assert "3 stages, 2 stored, 1 to run" in c2f("apply", "specs/tiny.yaml", "--no-report").stdout
    refused = c2f("apply", "specs/tiny.yaml", "--until", "sft", check=64)
    assert "no stage of kind `sft`" in refused.stderr
    assert len(list(Path(".c2f/store/plans").iterdir())) == 2
