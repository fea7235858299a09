"""The filter `sections`: a chain must have the four numbered parts, once each and in order (METHOD 3).

Headings are English or Chinese. No part may have fewer than `min_chars` characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed
from runtime.text.headings import split_parts

if TYPE_CHECKING:
    from c2f_spec.spec.filters import Sections


def check(chain: Chain, spec: Sections) -> Failed | None:
    found, problem = split_parts(chain.think)
    if problem:
        return Failed(problem)
    for n, part in enumerate(found, start=1):
        if len(part) < spec.min_chars:
            few = f"its part {n} has {len(part)} characters, fewer than {spec.min_chars}"
            return Failed(few, len(part))
    return None
