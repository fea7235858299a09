"""The four numbered parts of a chain of thought, under English or Chinese headings (METHOD 2.1, 2.2)."""

from __future__ import annotations

import re
from itertools import pairwise

from runtime.prompts import HEADINGS

LINES = {
    language: [
        re.compile(rf"^\s*{n}[.、．]?\s*{heading}\s*[:：]?", re.MULTILINE)
        for n, heading in enumerate(names, 1)
    ]
    for language, names in HEADINGS.items()
}


def parts(think: str) -> tuple[list[str], str]:
    """The text of each part, and nothing else; or no part, and why there are not four."""
    language = max(HEADINGS, key=lambda name: sum(heading in think for heading in HEADINGS[name]))
    starts = []
    for n, (heading, line) in enumerate(zip(HEADINGS[language], LINES[language], strict=True), start=1):
        found = list(line.finditer(think))
        if len(found) != 1:
            return [], f"has {len(found)} parts `{n}. {heading}`"
        starts.append(found[0])
    if any(a.end() > b.start() for a, b in pairwise(starts)):
        return [], "its parts are not in order"
    ends = [*(s.start() for s in starts[1:]), len(think)]
    return [think[s.end() : end].strip() for s, end in zip(starts, ends, strict=True)], ""
