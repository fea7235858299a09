"""The filter `polarity_match`: a chain's polarity tag must be the label's polarity (paper: consistency)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import PolarityMatch
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: PolarityMatch) -> Failed | None:  # noqa: ARG001
    if answer.polarity == clip.polarity:
        return None
    return Failed(f"says {answer.polarity}, the label is {clip.polarity}", answer.polarity)
