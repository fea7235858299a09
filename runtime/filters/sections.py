"""The four numbered parts are there, once each, in order, none too short (METHOD 3). English or Chinese headings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters.base import Failed
from runtime.text.headings import parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import Sections
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: Sections) -> Failed | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`."""
    found, problem = parts(answer.think or "")
    if problem:
        return Failed(problem)
    for n, part in enumerate(found, start=1):
        if len(part) < spec.min_chars:
            few = f"its part {n} has {len(part)} characters, fewer than {spec.min_chars}"
            return Failed(few, len(part))
    return None
