"""The loss on the tokens of a hint, which the policy did not sample (METHOD 1.8, 6.3, 6.4).

    mask              none, no KL, no length (Hint-GRPO)
    policy_gradient   as if the policy had sampled them: advantage, KL, length
    sft               none of the policy gradient; coef times their cross entropy beside it (UFT)

With the whole group hinted no policy gradient reaches the hint's tokens, masked or not: advantages sum to zero over an
identical start. Of a mixed group, `policy_gradient` raises the hint's probability if hinted answers do better.

Shapes: B answers, T tokens of the longest.
"""

from __future__ import annotations

import torch

from c2f_spec.spec.hint_parts import MaskLoss, PolicyGradientLoss, SftLoss

AnyLoss = MaskLoss | PolicyGradientLoss | SftLoss


def mask(loss: AnyLoss, forced: int, generated: int) -> list[int]:
    """Of one answer: 1 where a token has part in loss, KL and length."""
    return [int(isinstance(loss, PolicyGradientLoss))] * forced + [1] * generated


def cross_entropy(logps_BT: torch.Tensor, forced_B: torch.Tensor) -> torch.Tensor:
    """Mean over the B answers of the cross entropy of their `forced_B` first tokens; an answer without any counts 0.

    In nats a token, each answer's mean over its own forced tokens, reduced as `loss_type: grpo` reduces the rest.
    """
    forced_BT = torch.arange(logps_BT.shape[1], device=logps_BT.device) < forced_B.unsqueeze(1)
    # `where`, because a token that is not forced may be padding, and 0 times its -inf would be NaN.
    sums_B = torch.where(forced_BT, -logps_BT, 0.0).sum(dim=1)
    return (sums_B / forced_B.clamp(min=1)).mean()
