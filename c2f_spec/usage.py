"""The ledger, summed: GPU-hours that made results, and those that did not, by user, project or month. Pure.

Of an attempt, what came after its last checkpoint has to be done again unless its result stands; what a stage of that
key had saved is kept by the attempt that went on from it. So hours are

- used: of results that stand, and up to the last checkpoint of stages that can go on from it
- failed: of attempts that ended for good, beyond what a later one could keep
- redone: of attempts that were stopped, beyond their last checkpoint, and of results that came second
- waiting: GPUs were held and the work had not begun: start of processes, downloads, weights onto the GPU
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.errors import StageExit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from c2f_spec.spec.ledger import Entry

By = Literal["user", "project", "month"]
WHOSE: dict[str, Callable[[Entry], str]] = {
    "user": lambda e: e.account.user,
    "project": lambda e: e.account.project,
    "month": lambda e: e.started[:7],
}


@dataclass(slots=True)
class Sum:
    """GPU-hours of many attempts."""

    stages: int = 0
    """Results that stand."""
    attempts: int = 0
    hours: float = 0.0
    """Of processes, with or without GPUs."""
    used: float = 0.0
    failed: float = 0.0
    redone: float = 0.0
    waiting: float = 0.0
    price: float = 0.0

    @property
    def gpu_hours(self) -> float:
        return self.used + self.wasted

    @property
    def wasted(self) -> float:
        return self.failed + self.redone + self.waiting

    def to_json(self) -> dict[str, Any]:
        names = ("stages", "attempts", "hours", "gpu_hours", "used", "failed", "redone", "waiting", "price")
        return {name: round(getattr(self, name), 4) for name in names}


def summed(entries: Iterable[Entry], by: By, prices: Mapping[str, float]) -> dict[str, Sum]:
    """Whose → what. `prices` are those of a GPU-hour, by pool; others cost nothing."""
    found: dict[str, Sum] = {}
    given = list(entries)
    committed = {e.key for e in given if e.committed}
    for entry in given:
        at = found.setdefault(WHOSE[by](entry), Sum())
        used, failed, redone, waiting = split(entry, done=entry.key in committed)
        at.stages += entry.committed
        at.attempts += 1
        at.hours += entry.seconds / 3600
        at.used += used
        at.failed += failed
        at.redone += redone
        at.waiting += waiting
        at.price += gpu_hours(entry) * prices.get(entry.account.pool, 0.0)
    return dict(sorted(found.items()))


def gpu_hours(entry: Entry) -> float:
    return entry.gpus * entry.seconds / 3600


def split(entry: Entry, *, done: bool) -> tuple[float, float, float, float]:
    """GPU-hours used, failed, redone and waiting of an attempt; `done`: some attempt at its stage came to a result."""
    hours = gpu_hours(entry)
    if entry.code == StageExit.DONE:
        waiting = entry.gpus * min(entry.waited, entry.seconds) / 3600
        rest = hours - waiting
        return (rest, 0.0, 0.0, waiting) if entry.committed else (0.0, 0.0, rest, waiting)
    steps = entry.reached - entry.began
    kept = hours * (entry.saved - entry.began) / steps if steps > 0 else 0.0
    if StageExit(entry.code).permanent:
        kept = kept if done else 0.0
        return kept, hours - kept, 0.0, 0.0
    return kept, 0.0, hours - kept, 0.0
