"""Rewards and facts of the answers of a step, arranged by group.

The step computes them after each generation; triggers and curves read them. Facts do not depend on which rewards the spec
has.

Shapes: N answers of all ranks, K rewards, M groups, G answers of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch


class AnswerFacts(NamedTuple):
    """The facts of one answer."""

    format: float
    """1 if the answer is well-formed, else 0."""
    polarity: float
    """1 if its polarity is the label's, parsed leniently, else 0."""
    agrees: float
    """1 if its score has the polarity of its tag, else 0; NaN where one of them cannot be parsed."""


FACT_NAMES = (*AnswerFacts._fields, "tokens", "cut")
"""Columns of the table of facts. `tokens` is the number of generated tokens; `cut` is 1 if the answer did not end by itself."""


@dataclass(frozen=True, slots=True)
class GroupResults:
    """Rewards and facts of whole groups of answers."""

    totals: torch.Tensor
    """Weighted sums of the rewards: (M, G)."""
    rewards: torch.Tensor
    """(M, G, K)."""
    facts: torch.Tensor
    """(M, G, F), as `FACTS` has them."""
    names: tuple[str, ...]
    """Names of the K rewards."""

    @classmethod
    def from_answers(
        cls,
        rewards_NK: torch.Tensor,
        facts_NF: torch.Tensor,
        weights_K: torch.Tensor,
        names: Sequence[str],
        size: int,
    ) -> GroupResults:
        """Arrange flat tables by group; the `size` answers of a group are consecutive rows."""
        totals_N = (rewards_NK * weights_K.to(rewards_NK.device)).nansum(dim=1)
        return cls(
            totals_N.view(-1, size),
            rewards_NK.view(-1, size, rewards_NK.shape[1]),
            facts_NF.view(-1, size, len(FACT_NAMES)),
            tuple(names),
        )

    def fact(self, name: str) -> torch.Tensor:
        """Return one fact of each answer: (M, G)."""
        return self.facts[:, :, FACT_NAMES.index(name)]

    def reward(self, name: str) -> torch.Tensor:
        """Return one reward of each answer, without its weight: (M, G)."""
        return self.rewards[:, :, self.names.index(name)]

    @property
    def correct(self) -> torch.Tensor:
        """1 for a right polarity in a well-formed answer, else 0: (M, G)."""
        return self.fact("format") * self.fact("polarity")
