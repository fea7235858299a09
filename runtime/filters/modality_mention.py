"""The filter `modality_mention`: no part on words, face or voice may say that the media were missing (METHOD 3, DENIAL).

A chain without the four parts is searched as a whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed, may_match
from runtime.text.headings import split_parts

if TYPE_CHECKING:
    from c2f_spec.spec.filters import ModalityMention

DENIAL = re.compile(
    r"(?:no|not|cannot|can't) (?:\w+ ){0,3}(?:audio|video|visual|sound|see|hear)[^.]{0,40}(?:provided|available|given|access)"
    r"|无法(?:观看|看到|听到|获取)|(?:没有|未)提供(?:视频|音频)",
    re.IGNORECASE,
)
NEEDS = ("provided", "available", "given", "access", "无法", "提供")


def check(chain: Chain, spec: ModalityMention) -> Failed | None:  # noqa: ARG001
    think = chain.think
    if not may_match(think, NEEDS):
        return None
    found, _ = split_parts(think)
    for part in found[:3] or [think]:
        if denial := DENIAL.search(part):
            return Failed(f"could not see or hear: `{denial.group()}`", denial.group())
    return None
