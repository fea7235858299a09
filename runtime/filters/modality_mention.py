"""The teacher does not say that it could not see or hear (METHOD 3, DENIAL): the parts on words, face and voice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runtime.filters.base import Failed, may_match
from runtime.text.headings import parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import ModalityMention
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

DENIAL = re.compile(
    r"(?:no|not|cannot|can't) (?:\w+ ){0,3}(?:audio|video|visual|sound|see|hear)[^.]{0,40}(?:provided|available|given|access)"
    r"|无法(?:观看|看到|听到|获取)|(?:没有|未)提供(?:视频|音频)",
    re.IGNORECASE,
)
NEEDS = ("provided", "available", "given", "access", "无法", "提供")


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: ModalityMention) -> Failed | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`. A chain without the four parts is looked at whole."""
    think = answer.think or ""
    if not may_match(think, NEEDS):
        return None
    found, _ = parts(think)
    for part in found[:3] or [think]:
        if denial := DENIAL.search(part):
            return Failed(f"could not see or hear: `{denial.group()}`", denial.group())
    return None
