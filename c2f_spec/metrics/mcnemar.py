"""McNemar's exact test (McNemar 1947; the exact form is the two-sided sign test of the discordant clips).

Of the clips that one model has right and the other wrong, either would be as likely if both were equally good: so the
smaller count is binomial with 1/2. As `statsmodels.stats.contingency_tables.mcnemar(exact=True)` has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Discordant(NamedTuple):
    """Clips that one side alone has right."""

    ours: int
    theirs: int

    @property
    def p(self) -> float:
        """Two-sided; 1 if no clip differs."""
        return exact(self.ours, self.theirs)


def exact(ours: int, theirs: int) -> float:
    """2 P(X <= min(ours, theirs)) of a binomial X of `ours + theirs` throws of a coin, at most 1."""
    n, least = ours + theirs, min(ours, theirs)
    k = np.arange(1, least + 1, dtype=np.float64)
    log_chosen = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])  # of n, 0 to `least`
    top = log_chosen.max()
    log_tail = top + np.log(np.exp(log_chosen - top).sum()) - n * np.log(2.0)
    return float(min(1.0, 2.0 * np.exp(log_tail)))
