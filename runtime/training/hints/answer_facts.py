"""What is true of each answer, whatever the spec rewards: triggers and curves read this.

Shapes: N answers of all ranks, K rewards, M groups, G answers of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


class Facts(NamedTuple):
    """Of one answer."""

    format: float
    """1 if it is well-formed."""
    polarity: float
    """1 if its polarity is the label's, read leniently."""
    agrees: float
    """1 if its score has the polarity of its tag, 0 if not; NaN where one of them cannot be read."""


FACTS = (*Facts._fields, "tokens", "cut")
"""`tokens`: how many were generated; `cut`: 1 if the answer did not end by itself."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Groups of answers."""

    totals: torch.Tensor
    """Weighted sums of the rewards: (M, G)."""
    rewards: torch.Tensor
    """(M, G, K)."""
    facts: torch.Tensor
    """(M, G, F), as `FACTS` has them."""
    names: tuple[str, ...]
    """Of the K rewards."""

    @classmethod
    def of(
        cls,
        rewards_NK: torch.Tensor,
        facts_NF: torch.Tensor,
        weights_K: torch.Tensor,
        names: Sequence[str],
        size: int,
    ) -> Judged:
        """`size` answers of a group stand side by side."""
        totals_N = (rewards_NK * weights_K.to(rewards_NK.device)).nansum(dim=1)
        return cls(
            totals_N.view(-1, size),
            rewards_NK.view(-1, size, rewards_NK.shape[1]),
            facts_NF.view(-1, size, len(FACTS)),
            tuple(names),
        )

    def fact(self, name: str) -> torch.Tensor:
        """(M, G)."""
        return self.facts[:, :, FACTS.index(name)]

    def reward(self, name: str) -> torch.Tensor:
        """(M, G), without its weight."""
        return self.rewards[:, :, self.names.index(name)]

    @property
    def correct(self) -> torch.Tensor:
        """1 for a right polarity in a well-formed answer: (M, G)."""
        return self.fact("format") * self.fact("polarity")
