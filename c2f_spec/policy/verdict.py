"""What is said of a rule."""

from __future__ import annotations

from typing import Literal, NamedTuple

Outcome = Literal["kept", "broken", "unchecked"]


class Verdict(NamedTuple):
    """One rule, held against one plan."""

    outcome: Outcome
    """`unchecked`: what it needs was not asked for, as the ledger is not by a plan offline."""
    rule: str
    """Its path in the policy: `limits.plan.gpu_hours`."""
    where: str
    """File, line and column of the rule."""
    detail: str
    """What was found, and the limit."""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.detail} [{self.rule}]"
        return f"{text}\n  hint: {self.hint}" if self.hint else text
