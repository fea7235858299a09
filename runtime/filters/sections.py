"""The filter `sections`: a chain must have the four numbered parts, once each and in order (METHOD 3).

Headings are English or Chinese. No part may have fewer than `min_chars` characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters.outcome import Failed
from runtime.text.headings import split_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import Sections
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: Sections) -> Failed | None:  # noqa: ARG001
    found, problem = split_parts(answer.think or "")
    if problem:
        return Failed(problem)
    for n, part in enumerate(found, start=1):
        if len(part) < spec.min_chars:
            few = f"its part {n} has {len(part)} characters, fewer than {spec.min_chars}"
            return Failed(few, len(part))
    return None
