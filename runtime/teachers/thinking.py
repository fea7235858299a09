"""The block of thinking that some models open by themselves, before the answer and its own `<think>` (METHOD 3).

    <think>The user wants … </think> <polarity>Negative</polarity> <think> 1. … </think> <score>-1.0</score>

Chat templates of Thinking variants write the first `<think>` into the prompt, so that replies begin inside the block.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from c2f_spec.spec.sections import Direct
from runtime.chains import tags

if TYPE_CHECKING:
    from runtime.chains import AnyFormat

CLOSE = "</think>"


def answer_of(text: str, fmt: AnyFormat) -> str:
    """`text` from behind the model's own block, if it begins with one; a block that never ends leaves nothing.

    A block may speak of the format, and so of `</think>`: it ends at the last one that the answer follows.
    """
    bare = text.lstrip()
    if isinstance(fmt, Direct):
        _, closed, rest = bare.rpartition(CLOSE)
        return rest.lstrip() if closed else "" if bare.startswith("<think>") else text
    opening = f"<{tags(fmt).polarity}>"
    if bare.startswith(opening):
        return text
    *before, rest = re.split(rf"{CLOSE}\s*(?={opening})", bare)
    if before:
        return rest
    _, closed, rest = bare.partition(CLOSE)
    if closed:
        return rest.lstrip()
    return "" if bare.startswith("<think>") else text
