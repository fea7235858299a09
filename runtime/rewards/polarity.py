"""The reward `polarity`: 1 if the stated polarity is the label's, else 0 (paper, eq. 4; METHOD 1.4).

It is parsed leniently: an answer that is not well-formed can have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.spec.grpo import PolarityReward
    from runtime.rewards.truth import Truth
    from runtime.text.chains import Answer


def reward(answer: Answer, truth: Truth, spec: PolarityReward) -> float:
    del spec
    return 1.0 if answer.polarity == truth.polarity else 0.0
