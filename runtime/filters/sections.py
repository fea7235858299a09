"""The four numbered parts are there, once each, in order, none too short (METHOD 3). English or Chinese headings."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runtime.prompts import HEADINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import Sections
    from runtime.chains import Answer
    from runtime.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: Sections) -> str | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`."""
    think = answer.think or ""
    headings = max(HEADINGS.values(), key=lambda names: sum(name in think for name in names))
    starts = []
    for n, heading in enumerate(headings, start=1):
        found = list(re.finditer(rf"^\s*{n}[.、．]?\s*{heading}\s*[:：]?", think, re.MULTILINE))
        if len(found) != 1:
            return f"has {len(found)} parts `{n}. {heading}`"
        starts.append(found[0])
    if any(a.end() > b.start() for a, b in pairwise(starts)):
        return "its parts are not in order"
    ends = [*(s.start() for s in starts[1:]), len(think)]
    for n, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        length = len(think[start.end() : end].strip())
        if length < spec.min_chars:
            return f"its part {n} has {length} characters, fewer than {spec.min_chars}"
    return None
