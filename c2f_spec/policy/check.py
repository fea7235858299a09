"""Check a plan against every rule of every policy file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.policy.allowed import check_allowed, check_fixed
from c2f_spec.policy.limits import check_budgets, check_plan_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.policy.limits import PlannedUse
    from c2f_spec.policy.load import Level, RuleResult


def check_policy(levels: Sequence[Level], asked: PlannedUse) -> list[RuleResult]:
    """Return a result for each rule, or several for a rule that is broken in several ways; the nearest file first."""
    return [
        verdict
        for level in levels
        for verdict in (
            *check_plan_limits(level, asked),
            *check_budgets(level, asked),
            *check_allowed(level, asked.plan),
            *check_fixed(level, asked.plan),
        )
    ]
