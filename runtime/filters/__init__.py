"""The filters, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters import format as format_
from runtime.filters import no_label_leak, polarity_match, score_tolerance, sections, tag_score_sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.chains import Answer
    from runtime.clips import Clip

FILTERS: dict[str, Callable[[Answer, Clip, Mapping[str, Any], Any], str | None]] = {
    "format": format_.check,
    "polarity_match": polarity_match.check,
    "tag_score_sign": tag_score_sign.check,
    "score_tolerance": score_tolerance.check,
    "sections": sections.check,
    "no_label_leak": no_label_leak.check,
}
