"""The block of thinking that some models open by themselves, before the answer and its own `<think>` (METHOD 3).

    <think>The user wants … </think> <polarity>Negative</polarity> <think> 1. … </think> <score>-1.0</score>

Chat templates of Thinking variants write the first `<think>` into the prompt, so that replies begin inside the block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.spec.sections import Direct
from runtime.chains import tags

if TYPE_CHECKING:
    from runtime.chains import AnyFormat

CLOSE = "</think>"


def answer_of(text: str, fmt: AnyFormat) -> str:
    """`text` from behind the model's own block, if it begins with one; a block that never ends leaves nothing."""
    bare = text.lstrip()
    if not isinstance(fmt, Direct) and bare.startswith(f"<{tags(fmt).polarity}>"):
        return text
    _, closed, rest = bare.partition(CLOSE)
    if closed:
        return rest.lstrip()
    return "" if bare.startswith("<think>") else text
