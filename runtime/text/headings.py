"""Find the four numbered parts of a chain of thought, under English or Chinese headings (METHOD 2.1, 2.2).

A heading counts where its number opens the line: `2. Visual Clues Analysis:`, with or without the point and the colon.
Headings are looked for by `str.find` and their numbers read backwards, which takes a third of what a pattern takes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from runtime.text.prompts import HEADINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTS = ".、．"
COLONS = ":："


def split_parts(think: str) -> tuple[list[str], str]:
    """Return the text of each part and "", or no parts and the problem."""
    language = max(HEADINGS, key=lambda name: sum(heading in think for heading in HEADINGS[name]))
    found = []
    for n, heading in enumerate(HEADINGS[language], start=1):
        places = list(_places(think, n, heading))
        if len(places) != 1:
            return [], f"has {len(places)} parts `{n}. {heading}`"
        found += places
    if any(a[1] > b[0] for a, b in pairwise(found)):
        return [], "its parts are not in order"
    stops = [*(start for start, _ in found[1:]), len(think)]
    return [_body(think[end:stop]) for (_, end), stop in zip(found, stops, strict=True)], ""


def heading_number_offsets(think: str) -> frozenset[int]:
    """Return the offsets of the numbers before headings, in either language, which are no scores."""
    return frozenset(
        start
        for names in HEADINGS.values()
        for n, heading in enumerate(names, start=1)
        for start, _ in _places(think, n, heading)
    )


def _places(think: str, n: int, heading: str) -> Iterator[tuple[int, int]]:
    """Yield start of the number and end of the heading, wherever part `n` opens a line."""
    at = think.find(heading)
    while at >= 0:
        end = at + len(heading)
        start = _opening(think, at, str(n))
        if start is not None:
            yield start, end
        at = think.find(heading, end)


def _opening(think: str, at: int, number: str) -> int | None:
    """Return the offset of `number` if it is the last before `at`, but for a point, and the first of its line."""
    end = _before_spaces(think, at)
    if end and think[end - 1] in POINTS:
        end -= 1
    if not think.endswith(number, 0, end):
        return None
    start = end - len(number)
    gap = _before_spaces(think, start)
    return start if gap == 0 or "\n" in think[gap:start] else None


def _before_spaces(think: str, end: int) -> int:
    """Return `end` less the white space before it."""
    while end and think[end - 1].isspace():
        end -= 1
    return end


def _body(text: str) -> str:
    text = text.strip()
    return text[1:].lstrip() if text[:1] in COLONS else text
