"""Count what happened to each sample so far: saved in checkpoints, and written beside the model at the end.

hints.jsonl   {"clip": "…", "polarity": "neutral", "visits": 3, "hard": 3, "hinted": 2, "right": 1, "answers": 12,
               "last_visit": 90, "last_hard": 90, "last_hinted": 57, "every_visit": false}

`visits` counts one an epoch; `right` those of its first, unhinted answers that had the right polarity. Steps are
those of metrics.jsonl, counted from 1. A sample that was hinted at every visit has `every_visit: true`: hard for ever, and
perhaps wrongly labelled (METHOD 6.3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FILE = "hints.jsonl"
TRAILING = 20
"""Length of a trailing mean in steps."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The visits of one clip."""

    visits: int = 0
    hard: int = 0
    hinted: int = 0
    right: int = 0
    answers: int = 0
    last_visit: int | None = None
    last_hard: int | None = None
    last_hinted: int | None = None
    rate: float | None = None
    """Running share of right polarities, for the trigger `pass_rate`."""

    @property
    def every_visit(self) -> bool:
        return 0 < self.visits == self.hinted


NEVER = Sample()


class History:
    """The visited samples, and the polarity rates of the last steps for samples that were hard before."""

    def __init__(self) -> None:
        self.samples: dict[str, Sample] = {}
        self._again: list[tuple[int, int]] = []
        """(right, all) first answers of samples that were hard in an earlier visit, for each of the last `TRAILING` steps."""

    def lookup(self, clips: Sequence[str]) -> list[Sample]:
        return [self.samples.get(clip, NEVER) for clip in clips]

    def record_visit(
        self,
        step: int,
        clips: Sequence[str],
        *,
        hard: Sequence[bool],
        hinted: Sequence[bool],
        right: Sequence[int],
        answers: int,
        rates: Sequence[float | None],
    ) -> tuple[int, int]:
        """Record a visit of each clip. Return right and all first answers of those that were hard before."""
        before = self.lookup(clips)
        again = [n for n, sample in zip(right, before, strict=True) if sample.hard]
        for i, (clip, sample) in enumerate(zip(clips, before, strict=True)):
            self.samples[clip] = replace(
                sample,
                visits=sample.visits + 1,
                hard=sample.hard + hard[i],
                hinted=sample.hinted + hinted[i],
                right=sample.right + right[i],
                answers=sample.answers + answers,
                last_visit=step,
                last_hard=step if hard[i] else sample.last_hard,
                last_hinted=step if hinted[i] else sample.last_hinted,
                rate=rates[i],
            )
        found = (sum(again), answers * len(again))
        self._again = [*self._again, found][-TRAILING:]
        return found

    def recent_hint_share(self) -> float:
        """Return the share of hinted samples in the last step with answers."""
        last = max((s.last_visit for s in self.samples.values() if s.last_visit is not None), default=None)
        hinted = [s.last_hinted == last for s in self.samples.values() if s.last_visit == last]
        return sum(hinted) / len(hinted) if hinted else 0.0

    def trailing_polarity_rate(self) -> float | None:
        """Return the share of right polarities over the last steps in first answers of samples that were hard before."""
        right, answers = (sum(each[i] for each in self._again) for i in (0, 1))
        return right / answers if answers else None

    def hinted_every_visit(self) -> list[str]:
        """Return the clips that were hinted at each of their visits, which are at least two."""
        return sorted(clip for clip, s in self.samples.items() if s.every_visit and s.visits > 1)

    def rows(self, polarity: Callable[[str], str]) -> list[dict[str, Any]]:
        """Return the rows of `FILE`, sorted by id."""
        found = []
        for clip, sample in sorted(self.samples.items()):
            facts = asdict(sample)
            del facts["rate"]
            row = {"clip": clip, "polarity": polarity(clip), **facts, "every_visit": sample.every_visit}
            found.append(row)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON, for a checkpoint."""
        samples = {clip: list(asdict(sample).values()) for clip, sample in self.samples.items()}
        return {"samples": samples, "again": [list(each) for each in self._again]}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> History:
        """Return the history that `to_json` saved."""
        history = cls()
        history.samples = {clip: Sample(*values) for clip, values in saved["samples"].items()}
        history._again = [(right, answers) for right, answers in saved["again"]]
        return history
