"""The filter `score_tolerance`: |score - label| <= `max_fraction` * (high - low), or `max_abs` where it is set.

The idea is from the paper, the value is not (METHOD 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed

if TYPE_CHECKING:
    from c2f_spec.spec.filters import ScoreTolerance

SLACK = 1e-9
"""Tolerance for rounding: 0.2 - (-0.2) is more than 0.4 in binary."""


def check(chain: Chain, spec: ScoreTolerance) -> Failed | None:
    if chain.answer.score is None:
        return Failed("has no score")
    span = chain.facts["high"] - chain.facts["low"]
    allowed = spec.max_fraction * span if spec.max_abs is None else spec.max_abs
    error = abs(chain.answer.score - chain.clip.label)
    if error <= allowed + SLACK:
        return None
    return Failed(f"its score is {error:.2g} off, more than {allowed:.2g}", round(error, 6))
