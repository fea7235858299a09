"""Chains and the filters of a spec -> what becomes of each chain, and which of a clip's is kept.

Filters run in their fixed order, cheap and decisive first. A chain is dropped by the first that it fails, and goes on
with a flag if that filter says `on_fail: flag`. Filters that compare chains see what the others kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.clips import POLARITIES
from runtime.filters import COMPARING, FILTERS
from runtime.findings import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.filters import Filters, Most
    from runtime.chains import Answer
    from runtime.clips import Clip

ORDER = (*FILTERS, *COMPARING)
REBALANCE = "rebalance"
"""Stands for a filter where `filters.rebalance` drops a chain that passes them all."""
MOST = "most"
"""The same of `filters.most`."""


@dataclass
class Verdict:
    """Of one chain: what it failed and is dropped by, and what it failed and is flagged for."""

    clip: Clip
    answer: Answer
    text: str
    sample: int = 0
    """Which of the clip's chains."""
    failed: tuple[str, Failed] | None = None
    """Name of a filter, and what it says."""
    flags: dict[str, str] = field(default_factory=dict)
    """Reason by filter."""

    def note(self, name: str, failed: Failed, on_fail: str) -> bool:
        """Whether the chain is dropped for it."""
        if on_fail == "flag":
            self.flags[name] = failed.reason
            return False
        self.failed = (name, failed)
        return True


def judge(verdicts: Sequence[Verdict], facts: Mapping[str, Any], spec: Filters) -> None:
    """Fill in the verdicts of chains of different clips. `facts` are the data set's, with the prompt's language."""
    each(verdicts, facts, spec)
    compare(verdicts, facts, spec)


def each(verdicts: Sequence[Verdict], facts: Mapping[str, Any], spec: Filters) -> None:
    """What the filters say that look at one chain alone."""
    on = [(name, check, getattr(spec, name)) for name, check in FILTERS.items()]
    on = [(name, check, settings) for name, check, settings in on if settings is not None]
    for verdict in verdicts:
        for name, check, settings in on:
            failed = check(verdict.answer, verdict.clip, facts, settings)
            if failed is not None and verdict.note(name, failed, settings.on_fail):
                break


def compare(verdicts: Sequence[Verdict], facts: Mapping[str, Any], spec: Filters) -> None:
    """What the filters say that look at all chains which are still kept, one a clip."""
    for name, check_all in COMPARING.items():
        settings = getattr(spec, name)
        if settings is None:
            continue
        left = {v.clip.id: v for v in verdicts if v.failed is None}
        found = check_all([(v.clip, v.answer) for v in left.values()], facts, settings)
        for clip_id, failed in found.items():
            left[clip_id].note(name, failed, settings.on_fail)


def chosen(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """One chain a clip, in the order of the clips: the first that passes; of a clip without one, the first."""
    by_clip: dict[str, Verdict] = {}
    for verdict in verdicts:
        known = by_clip.get(verdict.clip.id)
        if known is None or (known.failed is not None and verdict.failed is None):
            by_clip[verdict.clip.id] = verdict
    return list(by_clip.values())


def at_most(verdicts: Sequence[Verdict], most: Most) -> None:
    """`most`: of each polarity so many that are kept, the first in manifest order."""
    kept = dict.fromkeys(POLARITIES, 0)
    for verdict in verdicts:
        if verdict.failed is not None:
            continue
        polarity = verdict.clip.polarity
        limit = getattr(most, polarity)
        if limit is not None and kept[polarity] == limit:
            verdict.failed = (MOST, Failed(f"more than {limit} {polarity} chains"))
        else:
            kept[polarity] += 1


def cap(verdicts: Sequence[Verdict]) -> None:
    """`rebalance: cap`: of each polarity at most twice as many as of the rarest, the first in manifest order."""
    kept: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.failed is None:
            kept.setdefault(verdict.clip.polarity, []).append(verdict)
    most = 2 * min((len(rows) for rows in kept.values()), default=0)
    for polarity, rows in kept.items():
        for verdict in rows[most:]:
            verdict.failed = (
                REBALANCE,
                Failed(f"more than {most} {polarity} chains, twice the rarest polarity"),
            )
