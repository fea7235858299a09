"""The input and outcome of a filter, and a fast test for texts that a pattern cannot match."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

ODD = "\u0130\u0131\u017f\u212a"
"""Letters that match i, s or k whatever the case, and do not become them in lower case."""


def may_match(text: str, needs: tuple[str, ...]) -> bool:
    """Return whether a pattern that ignores case, and needs one of `needs` (in lower case) to match, may match.

    It is many times faster than the pattern.
    """
    lower = lower_case(text)
    for word in needs:  # `any` would make a generator for every text
        if word in lower:
            return True
    return not text.isascii() and any(odd in text for odd in ODD)


@lru_cache(maxsize=1)
def lower_case(text: str) -> str:
    """Return `text` in lower case. Several filters read one text in turn, so the last result is cached."""
    return text.lower()


class Chain(NamedTuple):
    """The argument of a filter."""

    answer: Answer
    clip: Clip
    facts: Mapping[str, Any]
    """Facts of the data set, with the prompt's language."""

    @property
    def think(self) -> str:
        return self.answer.think or ""


class Failed(NamedTuple):
    """The reason why a chain fails a filter, for people, and the measured value."""

    reason: str
    value: float | str | None = None
    """A share, a count, a distance or the matched words; `None` where nothing is measured."""
