"""The filter `dialogue_fidelity`: the share of quoted words that occur in the transcript (METHOD 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed
from runtime.text.headings import split_parts

if TYPE_CHECKING:
    from c2f_spec.spec.filters import DialogueFidelity

QUOTED = re.compile(
    r"\"([^\"\n]+)\"|“([^”\n]+)”|‘([^’\n]+)’|「([^」\n]+)」|『([^』\n]+)』|(?<!\w)'([^'\n]+)'(?!\w)"
)
UNIT = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+(?:['’][^\W\u4e00-\u9fff]+)*")


def check(chain: Chain, spec: DialogueFidelity) -> Failed | None:
    """Fail a chain if fewer than `min_overlap` of the words that its first part quotes occur in the transcript.

    In Chinese, characters are counted. A chain without quotes passes; without the four parts, the whole chain is read.
    """
    think = chain.think
    found, _ = split_parts(think)
    quotes = ["".join(match) for match in QUOTED.findall(found[0] if found else think)]
    quoted = [unit for quote in quotes for unit in _units(quote)]
    if not quoted:
        return None
    spoken = set(_units(chain.clip.text))
    share = sum(unit in spoken for unit in quoted) / len(quoted)
    if share >= spec.min_overlap:
        return None
    few = f"{share:.0%} of the words that it quotes were said, fewer than {spec.min_overlap:.0%}"
    return Failed(few, round(share, 6))


def _units(text: str) -> list[str]:
    return UNIT.findall(text.lower().replace("’", "'"))
