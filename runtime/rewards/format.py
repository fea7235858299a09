"""Format reward: 1 if the whole answer has the form, else 0 (paper, eq. 3; METHOD 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.spec.grpo import FormatReward
    from runtime.chains import Answer
    from runtime.rewards.truth import Truth


def reward(answer: Answer, truth: Truth, spec: FormatReward) -> float:
    del truth, spec
    return 1.0 if answer.well_formed else 0.0
