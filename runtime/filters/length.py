"""The filter `length`: `min` to `max` student tokens, words or characters, as `unit` says (METHOD 3).

Chinese is written without spaces, so each of its characters counts as a word. Tokens are counted before, for all chains
in one call: `facts["tokens"]` by chain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed

if TYPE_CHECKING:
    from c2f_spec.spec.filters import Length

WORD = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")


def check(chain: Chain, spec: Length) -> Failed | None:
    think = chain.think
    if spec.unit == "tokens":
        count = chain.facts["tokens"][think]
    elif spec.unit == "chars":
        count = len(think)
    else:
        count = len(think.split()) if think.isascii() else sum(1 for _ in WORD.finditer(think))
    if spec.min <= count <= spec.max:
        return None
    bound = f"fewer than {spec.min}" if count < spec.min else f"more than {spec.max}"
    return Failed(f"has {count} {spec.unit}, {bound}", count)
