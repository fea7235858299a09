"""The filters, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters import (
    dedup,
    dialogue_fidelity,
    judge,
    language,
    length,
    modality_mention,
    no_label_leak,
    polarity_match,
    repetition,
    score_tolerance,
    sections,
    tag_score_sign,
)
from runtime.filters import format as format_

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runtime.filters.base import Failed
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

FILTERS: dict[str, Callable[[Answer, Clip, Mapping[str, Any], Any], Failed | None]] = {
    "format": format_.check,
    "polarity_match": polarity_match.check,
    "tag_score_sign": tag_score_sign.check,
    "score_tolerance": score_tolerance.check,
    "sections": sections.check,
    "length": length.check,
    "no_label_leak": no_label_leak.check,
    "modality_mention": modality_mention.check,
    "language": language.check,
    "repetition": repetition.check,
    "dialogue_fidelity": dialogue_fidelity.check,
}
COMPARING: dict[str, Callable[[Sequence[tuple[Clip, Answer]], Mapping[str, Any], Any], dict[str, Failed]]] = {
    "dedup": dedup.check_all,
    "judge": judge.check_all,
}
