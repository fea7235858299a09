"""The chain's score is near the label: |score - label| <= max_fraction * (high - low), or max_abs.

The idea is the paper's, the value ours (METHOD 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters.base import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import ScoreTolerance
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

SLACK = 1e-9
"""Of rounding: 0.2 - (-0.2) is more than 0.4 in binary."""


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: ScoreTolerance) -> Failed | None:
    """Why the chain is dropped, or `None`."""
    if answer.score is None:
        return Failed("has no score")
    span = facts["high"] - facts["low"]
    allowed = spec.max_fraction * span if spec.max_abs is None else spec.max_abs
    error = abs(answer.score - clip.label)
    if error <= allowed + SLACK:
        return None
    return Failed(f"its score is {error:.2g} off, more than {allowed:.2g}", round(error, 6))
