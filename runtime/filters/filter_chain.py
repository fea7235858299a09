"""Run the filters of a spec on chains, choose one chain a clip, and count the funnel.

Filters run in their fixed order, cheap and decisive first. A chain is dropped by the first filter that it fails, unless that
has `on_fail: flag`: then it goes on with a flag. Filters that compare chains get those that passed the others.

The funnel counts clips: in = kept + dropped by filter + failed by reason, where a clip fails if the teacher gave no answer.
The sum is asserted for all clips, for each split and for each polarity of the label.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from c2f_spec.spec.formats import POLARITIES
from runtime.filters import FILTERS, SET_FILTERS
from runtime.filters.outcome import Chain, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.filters import Filters, Most
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


ORDER = (*FILTERS, *SET_FILTERS)
REBALANCE = "rebalance"
"""Stands for a filter in the funnel where `filters.rebalance` drops a chain."""
MOST = "most"
"""Stands for a filter in the funnel where `filters.most` drops a chain."""


@dataclass
class ChainResult:
    """One chain and the outcome of the filters."""

    clip: Clip
    answer: Answer
    text: str
    sample: int = 0
    """Number of the chain among those of its clip, from 0."""
    failed: tuple[str, Failed] | None = None
    """Name and outcome of the filter that drops the chain; `None` for a chain that passes."""
    flags: dict[str, str] = field(default_factory=dict)
    """Reasons by filter, of filters with `on_fail: flag`."""

    def record(self, name: str, failed: Failed, on_fail: str) -> bool:
        """Record a failed filter. Return whether the chain is dropped for it."""
        if on_fail == "flag":
            self.flags[name] = failed.reason
            return False
        self.failed = (name, failed)
        return True


def check_each(results: Sequence[ChainResult], facts: Mapping[str, Any], spec: Filters) -> None:
    """Run the filters that need one chain alone. `facts` are those of the data set, with the prompt's language."""
    on = [(name, check, getattr(spec, name)) for name, check in FILTERS.items()]
    on = [(name, check, settings) for name, check, settings in on if settings is not None]
    for result in results:
        chain = Chain(result.answer, result.clip, facts)
        for name, check, settings in on:
            failed = check(chain, settings)
            if failed is not None and result.record(name, failed, settings.on_fail):
                break


def check_together(results: Sequence[ChainResult], facts: Mapping[str, Any], spec: Filters) -> None:
    """Run the filters that need all passing chains at once, one a clip."""
    for name, check_all in SET_FILTERS.items():
        settings = getattr(spec, name)
        if settings is None:
            continue
        left = {r.clip.id: r for r in results if r.failed is None}
        found = check_all([(r.clip, r.answer) for r in left.values()], facts, settings)
        for clip_id, failed in found.items():
            left[clip_id].record(name, failed, settings.on_fail)


def choose_per_clip(results: Sequence[ChainResult]) -> list[ChainResult]:
    """Return one chain a clip, in the order of the clips: the first that passes, else the first."""
    by_clip: dict[str, ChainResult] = {}
    for result in results:
        known = by_clip.get(result.clip.id)
        if known is None or (known.failed is not None and result.failed is None):
            by_clip[result.clip.id] = result
    return list(by_clip.values())


def limit_per_polarity(results: Sequence[ChainResult], most: Most) -> None:
    """Apply `filters.most`: keep the first chains of each polarity up to its limit, in manifest order."""
    kept = dict.fromkeys(POLARITIES, 0)
    for result in results:
        if result.failed is not None:
            continue
        polarity = result.clip.polarity
        limit = getattr(most, polarity)
        if limit is not None and kept[polarity] == limit:
            result.failed = (MOST, Failed(f"more than {limit} {polarity} chains"))
        else:
            kept[polarity] += 1


def rebalance(results: Sequence[ChainResult]) -> None:
    """Apply `rebalance: cap`: keep of each polarity at most twice as many chains as of the rarest, the first in order."""
    kept: dict[str, list[ChainResult]] = {}
    for result in results:
        if result.failed is None:
            kept.setdefault(result.clip.polarity, []).append(result)
    most = 2 * min((len(rows) for rows in kept.values()), default=0)
    for polarity, rows in kept.items():
        for result in rows[most:]:
            result.failed = (
                REBALANCE,
                Failed(f"more than {most} {polarity} chains, twice the rarest polarity"),
            )


Failures = list[tuple["Clip", str]]
"""Clips without an answer of the teacher, with the reason."""


def funnel(results: Sequence[ChainResult], failures: Failures = []) -> dict[str, Any]:  # noqa: B006  never written to
    """Return counts of clips in, kept, dropped or flagged by filter, and failed by reason, from one result a clip."""
    by_filter = Counter(r.failed[0] for r in results if r.failed is not None)
    dropped = {name: by_filter[name] for name in (*ORDER, MOST, REBALANCE) if by_filter[name]}
    failed = dict(sorted(Counter(reason for _, reason in failures).items()))
    flagged = Counter(name for r in results if r.failed is None for name in r.flags)
    found: dict[str, Any] = {
        "in": len({r.clip.id for r in results} | {clip.id for clip, _ in failures}),
        "kept": sum(r.failed is None for r in results),
        "dropped": dropped,
        **({"failed": failed} if failed else {}),
        **({"flagged": dict(flagged)} if flagged else {}),
    }
    assert found["in"] == count_accounted(found), f"clips in are not kept + dropped + failed: {found}"
    return found


def funnels(results: Sequence[ChainResult], failures: Failures) -> dict[str, Any]:
    """Return the funnel of all clips, with `by_split` and `by_polarity` of the label."""
    clips = [*(r.clip for r in results), *(clip for clip, _ in failures)]
    splits = list(dict.fromkeys(clip.split for clip in clips))
    found = {
        **funnel(results, failures),
        "by_split": {split: _part(results, failures, "split", split) for split in splits},
        "by_polarity": {
            p: part for p in POLARITIES if (part := _part(results, failures, "polarity", p))["in"]
        },
    }
    for name in ("by_split", "by_polarity"):
        for count in ("in", "kept"):
            assert found[count] == sum(part[count] for part in found[name].values()), (
                f"{name} is not the whole"
            )
    return found


def count_accounted(counts: Mapping[str, Any]) -> int:
    """Return the number of clips that are kept, dropped or failed."""
    return int(counts["kept"] + sum(counts["dropped"].values()) + sum(counts.get("failed", {}).values()))


def _part(results: Sequence[ChainResult], failures: Failures, name: str, value: str) -> dict[str, Any]:
    return funnel(
        [r for r in results if getattr(r.clip, name) == value],
        [(clip, why) for clip, why in failures if getattr(clip, name) == value],
    )
