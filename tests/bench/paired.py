"""Two ways of doing the same, measured in turns: median ratio of CPU seconds, with a 95 % interval."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of the CPU seconds of one to those of the other, pair by pair."""

    pairs: int
    median: float
    low: float
    high: float
    seconds: tuple[float, float]
    """Medians of both."""

    def __str__(self) -> str:
        ours, theirs = self.seconds
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]   {ours:.3f} s to {theirs:.3f} s, {self.pairs} pairs"


def paired(ours: Callable[[int], None], theirs: Callable[[int], None], pairs: int, warm: int = 1) -> Ratio:
    """Each is called with the number of the pair; who is first changes. The first `warm` pairs are not counted."""
    measured = []
    for n in range(warm + pairs):
        seconds = {}
        for each in (ours, theirs) if n % 2 else (theirs, ours):
            began = time.process_time()
            each(n)
            seconds[each] = time.process_time() - began
        measured.append((seconds[ours], seconds[theirs]))
    table = np.array(measured[warm:])
    ratios = table[:, 0] / table[:, 1]
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    a, b = np.median(table, axis=0)
    return Ratio(pairs, float(np.median(ratios)), float(low), float(high), (float(a), float(b)))
