"""The reward `format`: 1 if the whole answer is in the format, else 0 (paper, eq. 3; METHOD 1.3).

With `require_sections` its chain must also have the four numbered parts, once each, in order and none empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.text.headings import split_parts

if TYPE_CHECKING:
    from c2f_spec.spec.grpo import FormatReward
    from runtime.rewards.truth import Truth
    from runtime.text.chains import Answer


def reward(answer: Answer, truth: Truth, spec: FormatReward) -> float:
    del truth
    if not answer.well_formed or not spec.require_sections:
        return float(answer.well_formed)
    parts, _ = split_parts(answer.think or "")
    return float(bool(parts) and all(parts))
