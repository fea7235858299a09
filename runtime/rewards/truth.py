"""The arguments of rewards: a parsed answer, and the annotation of its clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from c2f_spec.spec.formats import Polarity
    from runtime.text.chains import Answer


@dataclass(frozen=True, slots=True)
class Truth:
    """The annotation of a clip, with its scale."""

    polarity: Polarity
    score: float
    low: float
    high: float
    family: str
    """Family of data sets, whose rule gives the polarity of a score (METHOD 1.4)."""


class Reward(Protocol):
    """A function of a parsed answer, the annotation and the reward's own section of the spec."""

    def __call__(self, answer: Answer, truth: Truth, spec: Any) -> float: ...
