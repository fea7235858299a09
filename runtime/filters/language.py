"""The chain is written in the prompt's language (METHOD 3): the share of its letters that are Chinese, or ASCII."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import LanguageFilter
    from runtime.chains import Answer
    from runtime.clips import Clip

CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
ASCII = re.compile(r"[A-Za-z]")
LETTER = re.compile(r"[^\W\d_]")


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: LanguageFilter) -> str | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`. `facts["language"]` is the prompt's."""
    think = answer.think or ""
    if think.isascii() and facts["language"] == "en":
        return None if ASCII.search(think) else "has no letters"
    letters = len(LETTER.findall(think))
    if not letters:
        return "has no letters"
    wanted = CHINESE if facts["language"] == "zh" else ASCII
    share = len(wanted.findall(think)) / letters
    if share >= spec.min_share:
        return None
    words = "Chinese" if facts["language"] == "zh" else "ASCII"
    return f"{share:.0%} of its letters are {words}, fewer than {spec.min_share:.0%}"
