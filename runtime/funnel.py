"""How many clips went into the filters, and what became of them: in = kept + dropped by filter + failed by reason.

A clip fails where the teacher gave no answer to it. The sum is asserted for all clips, for each split and for each
polarity of the label, and the parts against the whole: no clip is lost, none is counted twice.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from runtime.clips import POLARITIES
from runtime.verdicts import MOST, ORDER, REBALANCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.clips import Clip
    from runtime.verdicts import Verdict

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
