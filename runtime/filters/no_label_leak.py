"""The filter `no_label_leak`: a chain must neither mention a label (LEAK) nor quote a score (SCOREWORD; METHOD 3).

A quoted score would contradict the label that replaces the teacher's score. The numbers before the headings of the four
parts are no scores.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runtime.filters.outcome import Chain, Failed, may_match
from runtime.text.headings import heading_number_offsets
from runtime.text.score_text import NUMBER, SIGNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import NoLabelLeak

LEAK = re.compile(
    r"ground[- ]?truth|\blabel(?:l?ed|s)?\b|annotat|given (?:polarity|score)|as instructed"
    r"|真实(?:标签|值)|标签(?:为|是)|标注(?:为|结果)",
    re.IGNORECASE,
)
SCOREWORD = re.compile(r"score|得分|分数|评分", re.IGNORECASE)
LEAK_NEEDS = ("truth", "label", "annotat", "given ", "instructed", "真实", "标签", "标注")
SCORE_NEEDS = ("score", "得分", "分数", "评分")
NUM = re.compile(NUMBER)
NEAR = 12
"""Most characters between the word and a number that counts as a score."""


def check(chain: Chain, spec: NoLabelLeak) -> Failed | None:  # noqa: ARG001
    think = chain.think
    if may_match(think, LEAK_NEEDS) and (leak := LEAK.search(think)):
        return Failed(f"speaks of `{leak.group()}`", leak.group())
    return _quoted(think.translate(SIGNS), chain.facts) if may_match(think, SCORE_NEEDS) else None


def _quoted(think: str, facts: Mapping[str, Any]) -> Failed | None:
    counting = None
    for word in SCOREWORD.finditer(think):
        for found in NUM.finditer(think):
            gap = max(word.start() - found.end(), found.start() - word.end())
            if gap > NEAR or not facts["low"] <= float(found.group()) <= facts["high"]:
                continue
            counting = heading_number_offsets(think) if counting is None else counting
            if found.start() not in counting:
                words = f"quotes a score: `{word.group()}` near `{found.group()}`"
                return Failed(words, float(found.group()))
    return None
