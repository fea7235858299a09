"""The filter `language`: the share of letters that are ASCII, or Chinese for a Chinese prompt (METHOD 3).

ASCII letters are counted by deleting them, and others in runs: a pattern for one would stop at every letter.
"""

from __future__ import annotations

import re
from string import ascii_letters
from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed

if TYPE_CHECKING:
    from c2f_spec.spec.filters import LanguageFilter

CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
LETTERS = re.compile(r"[^\W\d_]+")
ASCII_LETTERS = ascii_letters.encode()


def check(chain: Chain, spec: LanguageFilter) -> Failed | None:
    """Fail a chain with fewer than `min_share` of its letters in the script of the prompt's language, `facts["language"]`."""
    think = chain.think
    plain = think.encode("ascii", "ignore")
    ascii_ = len(plain) - len(plain.translate(None, ASCII_LETTERS))
    chinese = others = 0
    if len(plain) < len(think):
        rest = CHINESE.split(think)
        chinese = len(think) - sum(map(len, rest))
        others = sum(map(len, LETTERS.findall(" ".join(rest)))) - ascii_
    letters = ascii_ + chinese + others
    if not letters:
        return Failed("has no letters")
    count, words = (chinese, "Chinese") if chain.facts["language"] == "zh" else (ascii_, "ASCII")
    share = count / letters
    if share >= spec.min_share:
        return None
    return Failed(f"{share:.0%} of its letters are {words}, fewer than {spec.min_share:.0%}", round(share, 6))
