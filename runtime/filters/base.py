"""Texts that a pattern cannot match, told by words that every match needs, many times faster than by the pattern."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

ODD = "\u0130\u0131\u017f\u212a"
"""Letters that match i, s or k whatever the case, and do not become them in lower case."""


def may_match(text: str, needs: tuple[str, ...]) -> bool:
    """Whether a pattern that ignores case, and matches nothing without one of `needs` (in lower case), may match."""
    lower = lowered(text)
    for word in needs:  # `any` would make a generator for every text
        if word in lower:
            return True
    return not text.isascii() and any(odd in text for odd in ODD)


@lru_cache(maxsize=1)
def lowered(text: str) -> str:
    """In lower case. One text is asked about several times, one after the other, so the last is kept."""
    return text.lower()


# What a filter says of a chain that it fails. Of one that passes it says `None` (METHOD 3: pass, reason, value).


class Failed(NamedTuple):
    """Why a chain fails a filter, in words that people read, and what was measured."""

    reason: str
    value: float | str | None = None
    """A share, a count, a distance or the words that were found; `None` where nothing is measured."""
