"""The loss on the tokens of a hint, which the policy did not sample (METHOD 1.8, 6.3, 6.4).

    mask              none, no KL, no length (Hint-GRPO)
    policy_gradient   as if the policy had sampled them: advantage, KL, length
    sft               none of the policy gradient; coef times their cross entropy beside it (UFT)

With the whole group hinted no policy gradient reaches the hint's tokens, masked or not: advantages sum to zero over an
identical start. Of a mixed group, `policy_gradient` raises the hint's probability if hinted answers do better.

Shapes: B answers, T tokens of the longest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from c2f_spec.spec.hint import MaskLoss, PolicyGradientLoss, SftLoss, ShapedLoss

if TYPE_CHECKING:
    from runtime.training.hints.rollout_batch import Own

AnyLoss = MaskLoss | PolicyGradientLoss | SftLoss | ShapedLoss


def mask(loss: AnyLoss, own: Own) -> list[int]:
    """Of one answer's tokens: 1 where they have part in loss, KL and length."""
    assert not isinstance(loss, ShapedLoss), "refused by c2f_spec/spec/support.py"
    generated = len(own.answer.tokens) - own.answer.hint
    bits = [int(isinstance(loss, PolicyGradientLoss))] * own.answer.hint + [1] * generated
    return bits if own.has_part else [0] * len(bits)


def cross_entropy(logps_BT: torch.Tensor, forced_B: torch.Tensor) -> torch.Tensor:
    """Mean over the B answers of the cross entropy of their `forced_B` first tokens; an answer without any counts 0.

    In nats a token, each answer's mean over its own forced tokens, reduced as `loss_type: grpo` reduces the rest.
    """
    forced_BT = torch.arange(logps_BT.shape[1], device=logps_BT.device) < forced_B.unsqueeze(1)
    # `where`, because a token that is not forced may be padding, and 0 times its -inf would be NaN.
    sums_B = torch.where(forced_BT, -logps_BT, 0.0).sum(dim=1)
    return (sums_B / forced_B.clamp(min=1)).mean()
