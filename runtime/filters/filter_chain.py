"""Chains and the filters of a spec -> what becomes of each chain, and which of a clip's is kept.

Filters run in their fixed order, cheap and decisive first. A chain is dropped by the first that it fails, and goes on
with a flag if that filter says `on_fail: flag`. Filters that compare chains see what the others kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.filters import COMPARING, FILTERS
from runtime.filters.base import Failed
from runtime.text.clips import POLARITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.filters import Filters, Most
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


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


# How many clips went into the filters, and what became of them: in = kept + dropped by filter + failed by reason.
#
# A clip fails where the teacher gave no answer to it. The sum is asserted for all clips, for each split and for each
# polarity of the label, and the parts against the whole: no clip is lost, none is counted twice.


Failures = list[tuple["Clip", str]]
"""Clips that the teacher gave no answer to, and why."""


def funnel(verdicts: Sequence[Verdict], failures: Failures = []) -> dict[str, Any]:  # noqa: B006  never written to
    """Counts of clips in, kept, dropped or flagged by each filter, and failed by each reason; one verdict a clip."""
    by_filter = Counter(v.failed[0] for v in verdicts if v.failed is not None)
    dropped = {name: by_filter[name] for name in (*ORDER, MOST, REBALANCE) if by_filter[name]}
    failed = dict(sorted(Counter(reason for _, reason in failures).items()))
    flagged = Counter(name for v in verdicts if v.failed is None for name in v.flags)
    found: dict[str, Any] = {
        "in": len({v.clip.id for v in verdicts} | {clip.id for clip, _ in failures}),
        "kept": sum(v.failed is None for v in verdicts),
        "dropped": dropped,
        **({"failed": failed} if failed else {}),
        **({"flagged": dict(flagged)} if flagged else {}),
    }
    assert found["in"] == total(found), f"clips in are not kept + dropped + failed: {found}"
    return found


def funnels(verdicts: Sequence[Verdict], failures: Failures) -> dict[str, Any]:
    """The funnel of all, with `by_split` and `by_polarity` of the label."""
    clips = [*(v.clip for v in verdicts), *(clip for clip, _ in failures)]
    splits = list(dict.fromkeys(clip.split for clip in clips))
    found = {
        **funnel(verdicts, failures),
        "by_split": {split: _part(verdicts, failures, "split", split) for split in splits},
        "by_polarity": {
            p: part for p in POLARITIES if (part := _part(verdicts, failures, "polarity", p))["in"]
        },
    }
    for name in ("by_split", "by_polarity"):
        for count in ("in", "kept"):
            assert found[count] == sum(part[count] for part in found[name].values()), (
                f"{name} is not the whole"
            )
    return found


def total(counts: Mapping[str, Any]) -> int:
    """Clips that are accounted for."""
    return int(counts["kept"] + sum(counts["dropped"].values()) + sum(counts.get("failed", {}).values()))


def _part(verdicts: Sequence[Verdict], failures: Failures, name: str, value: str) -> dict[str, Any]:
    return funnel(
        [v for v in verdicts if getattr(v.clip, name) == value],
        [(clip, why) for clip, why in failures if getattr(clip, name) == value],
    )
