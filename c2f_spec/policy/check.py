"""Every rule of every level, held against a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.policy.allowed import allowed, fixed
from c2f_spec.policy.limits import budgets, plan_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.policy.limits import Asked
    from c2f_spec.policy.load import Level, Verdict


def judge(levels: Sequence[Level], asked: Asked) -> list[Verdict]:
    """A verdict for each rule, or several where it is broken in several ways; the nearest level first."""
    return [
        verdict
        for level in levels
        for verdict in (
            *plan_limits(level, asked),
            *budgets(level, asked),
            *allowed(level, asked.plan),
            *fixed(level, asked.plan),
        )
    ]
