"""What rewards are given: an answer, read by the grammar of chains, and the truth about its clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from runtime.text.chains import Answer
    from runtime.text.clips import Polarity


@dataclass(frozen=True, slots=True)
class Truth:
    """The annotation of a clip, and the scale that it is on."""

    polarity: Polarity
    score: float
    low: float
    high: float
    family: str
    """Whose rule says the polarity of a score (METHOD 1.4)."""


class Reward(Protocol):
    """`spec` is the reward's own section of the spec."""

    def __call__(self, answer: Answer, truth: Truth, spec: Any) -> float: ...
