"""The outcome of a filter that a chain fails, and a fast test for texts that a pattern cannot match."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

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


class Failed(NamedTuple):
    """The reason why a chain fails a filter, for people, and the measured value."""

    reason: str
    value: float | str | None = None
    """A share, a count, a distance or the matched words; `None` where nothing is measured."""
