"""What is true of each answer, whatever the spec rewards: triggers and curves read this.

Shapes: N answers of all ranks, K rewards, M groups, G answers of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Facts(NamedTuple):
    """Of one answer."""

    format: float
    """1 if it is well-formed."""
    polarity: float
    """1 if its polarity is the label's, read leniently."""
    score: float
    """The score reward without its weight."""
    agrees: float
    """1 if its score has the polarity of its tag, 0 if not; NaN where one of them cannot be read."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Groups of answers."""

    totals_MG: torch.Tensor
    """Weighted sums of the rewards."""
    rewards_MGK: torch.Tensor
    facts_MGF: torch.Tensor
    """As `Facts` has them."""

    @classmethod
    def of(
        cls, rewards_NK: torch.Tensor, facts_NF: torch.Tensor, weights_K: torch.Tensor, size: int
    ) -> Judged:
        """`size` answers of a group stand side by side."""
        totals_N = (rewards_NK * weights_K.to(rewards_NK.device)).nansum(dim=1)
        return cls(
            totals_N.view(-1, size),
            rewards_NK.view(-1, size, rewards_NK.shape[1]),
            facts_NF.view(-1, size, len(Facts._fields)),
        )

    def fact(self, name: str) -> torch.Tensor:
        """(M, G)."""
        return self.facts_MGF[:, :, Facts._fields.index(name)]

    @property
    def correct_MG(self) -> torch.Tensor:
        """1 for a right polarity in a well-formed answer."""
        return self.fact("format") * self.fact("polarity")

    def some(self, groups: list[int]) -> Judged:
        return Judged(self.totals_MG[groups], self.rewards_MGK[groups], self.facts_MGF[groups])
