"""The filters of chains, by name, in the order in which they run (METHOD 3). One file a filter, one line here.

A filter returns `None` for a chain that passes, else `Failed`. Its arguments are the chain with its clip, and the
filter's fields from `c2f_spec/spec/filters.py`. Those of `SET_FILTERS` need all chains at once, and return the failed ones
by clip id.
"""

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

    from runtime.filters.outcome import Chain, Failed
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

FILTERS: dict[str, Callable[[Chain, Any], Failed | None]] = {
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
SET_FILTERS: dict[
    str, Callable[[Sequence[tuple[Clip, Answer]], Mapping[str, Any], Any], dict[str, Failed]]
] = {
    "dedup": dedup.check_all,
    "judge": judge.check_all,
}
