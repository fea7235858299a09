"""The reward `score`: how near the score is to the label, if the gate is open (paper, eq. 5; METHOD 1.5).

The paper's formula is not preserved. Ours, with error e, width w and the range of the annotations r:

    linear_range   1 - e / r          linear_width   max(0, 1 - e / w)
    gaussian       exp(-e^2 / 2w^2)   binary_tol     1 if e <= w, else 0

Always within [0, 1]: where `out_of_range: as_is` lets an error exceed the range, the reward ends at 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runtime.text.clips import polarity_of

if TYPE_CHECKING:
    from c2f_spec.spec.grpo import ScoreReward
    from runtime.rewards.truth import Truth
    from runtime.text.chains import Answer


def reward(answer: Answer, truth: Truth, spec: ScoreReward) -> float:
    score = answer.score
    if score is None or not gate_open(answer, truth, spec):
        return 0.0
    if not truth.low <= score <= truth.high:
        if spec.out_of_range == "zero":
            return 0.0
        if spec.out_of_range == "clip":
            score = min(max(score, truth.low), truth.high)
    return shape(abs(score - truth.score), truth.high - truth.low, spec)


def gate_open(answer: Answer, truth: Truth, spec: ScoreReward) -> bool:
    """Return whether the gate is open: the polarity of the tag, of the score, of both or of neither must be right."""
    tag = answer.polarity == truth.polarity
    sign = answer.score is not None and polarity_of(answer.score, truth.family, truth.high) == truth.polarity
    return {"tag": tag, "tag_and_sign": tag and sign, "sign": sign, "none": True}[spec.gate]


def shape(error: float, span: float, spec: ScoreReward) -> float:
    """Return the reward of an error, in [0, 1]. Error, span and width are in units of the score."""
    if spec.width is None:
        return max(0.0, 1 - error / span)
    if spec.shape == "linear_width":
        return max(0.0, 1 - error / spec.width)
    if spec.shape == "gaussian":
        return math.exp(-(error**2) / (2 * spec.width**2))
    # Rounding must not fail an error of 0.2 with a width of 0.2.
    return 1.0 if error <= spec.width or math.isclose(error, spec.width) else 0.0
