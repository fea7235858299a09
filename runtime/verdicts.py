"""Chains and the filters of a spec -> what becomes of each chain.

Filters run in their fixed order, cheap and decisive first. A chain is dropped by the first that it fails, and goes on
with a flag if that filter says `on_fail: flag`. Filters that compare chains see what the others kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.filters import COMPARING, FILTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.filters import Filters
    from runtime.chains import Answer
    from runtime.clips import Clip

ORDER = (*FILTERS, *COMPARING)


@dataclass
class Verdict:
    """Of one chain: what it failed and is dropped by, and what it failed and is flagged for."""

    clip: Clip
    answer: Answer
    text: str
    failed: tuple[str, str] | None = None
    """Name of a filter, and its reason."""
    flags: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, reason: str, on_fail: str) -> bool:
        """Whether the chain is dropped for it."""
        if on_fail == "flag":
            self.flags[name] = reason
            return False
        self.failed = (name, reason)
        return True


def judge(verdicts: Sequence[Verdict], facts: Mapping[str, Any], spec: Filters) -> None:
    """Fill in the verdicts. `facts` are the data set's, with the prompt's language."""
    for verdict in verdicts:
        for name, check in FILTERS.items():
            settings = getattr(spec, name)
            if settings is None:
                continue
            reason = check(verdict.answer, verdict.clip, facts, settings)
            if reason is not None and verdict.note(name, reason, settings.on_fail):
                break
    for name, check_all in COMPARING.items():
        settings = getattr(spec, name)
        if settings is None:
            continue
        left = {v.clip.id: v for v in verdicts if v.failed is None}
        found = check_all([(v.clip, v.answer) for v in left.values()], facts, settings)
        for clip_id, reason in found.items():
            left[clip_id].note(name, reason, settings.on_fail)


def cap(verdicts: Sequence[Verdict]) -> None:
    """`rebalance: cap`: of each polarity at most twice as many as of the rarest, the first in manifest order."""
    kept: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.failed is None:
            kept.setdefault(verdict.clip.polarity, []).append(verdict)
    most = 2 * min((len(rows) for rows in kept.values()), default=0)
    for polarity, rows in kept.items():
        for verdict in rows[most:]:
            verdict.failed = ("rebalance", f"more than {most} {polarity} chains, twice the rarest polarity")
