"""Find the four numbered parts of a chain of thought, under English or Chinese headings (METHOD 2.1 to 2.3).

A heading is a number with the words of the prompt: `2. Visual Clues Analysis:`, with or without the point and the colon, in
bold or not. Parts begin lines, or run on inline as in the paper's Fig. 4; a heading that is quoted inside a line does not
count where the part also begins a line. Headings are found by `str.find` and their numbers read backwards, which takes a
third of the time of a regular expression.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from runtime.text.prompts import HEADINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTS = ".、．"
COLONS = ":："
MARKS = "*#_"
"""Bold marks and marks of Markdown headings."""


class Heading(NamedTuple):
    """Where a heading stands in a chain."""

    start: int
    """Offset of its first mark."""
    number: int
    """Offset of its number."""
    end: int
    begins_line: bool


def split_parts(think: str) -> tuple[list[str], str]:
    """Return the text of each part and "", or no parts and the problem."""
    language = max(HEADINGS, key=lambda name: sum(heading in think for heading in HEADINGS[name]))
    found: list[Heading] = []
    for n, heading in enumerate(HEADINGS[language], start=1):
        headings = list(_find(think, n, heading))
        headings = [h for h in headings if h.begins_line] or headings
        if len(headings) != 1:
            return [], f"has {len(headings)} parts `{n}. {heading}`"
        found += headings
    if any(a.end > b.start for a, b in pairwise(found)):
        return [], "its parts are not in order"
    stops = [*(h.start for h in found[1:]), len(think)]
    return [_body(think[h.end : stop]) for h, stop in zip(found, stops, strict=True)], ""


def heading_number_offsets(think: str) -> frozenset[int]:
    """Return the offsets of the numbers before headings, in either language, which are no scores."""
    return frozenset(
        heading.number
        for names in HEADINGS.values()
        for n, name in enumerate(names, start=1)
        for heading in _find(think, n, name)
    )


def _find(think: str, n: int, heading: str) -> Iterator[Heading]:
    """Yield the places of part `n`: its heading with its number before it, at the start of a word."""
    at = think.find(heading)
    while at >= 0:
        end = at + len(heading)
        number_end = _before(think, at)
        if number_end and think[number_end - 1] in POINTS:
            number_end -= 1
        number_end = _before(think, number_end, spaces=False)
        number = number_end - len(str(n))
        if think.endswith(str(n), 0, number_end) and not _continues(think, number):
            start = _before(think, number)
            yield Heading(start, number, end, start == 0 or "\n" in think[start:number])
        at = think.find(heading, end)


def _continues(think: str, number: int) -> bool:
    """Return whether the digit at `number` ends a longer number or word, as in `12`, `1.2` or `v2`."""
    before = think[:number][-2:]
    return (before[-1:].isascii() and before[-1:].isalnum()) or (before[-1:] == "." and before[:1].isdigit())


def _before(think: str, end: int, *, spaces: bool = True) -> int:
    """Return `end` less the marks before it, and the white space with `spaces`."""
    while end and (think[end - 1] in MARKS or (spaces and think[end - 1].isspace())):
        end -= 1
    return end


def _body(text: str) -> str:
    """Return the text of a part without the colon and bold marks that end its heading."""
    text = text.strip()
    colon = text.lstrip(MARKS)
    return colon[1:].lstrip(MARKS).strip() if colon[:1] in COLONS and colon else text
