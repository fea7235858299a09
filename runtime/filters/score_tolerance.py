"""The filter `score_tolerance`: |score - label| <= `max_fraction` * (high - low), or `max_abs` where it is set.

The idea is from the paper, the value is not (METHOD 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import ScoreTolerance
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

SLACK = 1e-9
"""Tolerance for rounding: 0.2 - (-0.2) is more than 0.4 in binary."""


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: ScoreTolerance) -> Failed | None:
    if answer.score is None:
        return Failed("has no score")
    span = facts["high"] - facts["low"]
    allowed = spec.max_fraction * span if spec.max_abs is None else spec.max_abs
    error = abs(answer.score - clip.label)
    if error <= allowed + SLACK:
        return None
    return Failed(f"its score is {error:.2g} off, more than {allowed:.2g}", round(error, 6))
