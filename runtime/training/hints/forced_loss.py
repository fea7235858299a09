"""Compute the loss on the tokens of a hint, which the policy did not sample (METHOD 1.8, 6.3, 6.4).

The step builds the mask with the update's answers, and adds the cross entropy in `_compute_loss`.

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
    from runtime.training.hints.rollout_batch import UpdateRow

AnyLoss = MaskLoss | PolicyGradientLoss | SftLoss | ShapedLoss


def loss_mask(loss: AnyLoss, own: UpdateRow) -> list[int]:
    """Return a bit a token of one answer: 1 where it counts in policy gradient, KL and length."""
    assert not isinstance(loss, ShapedLoss), "refused by c2f_spec/spec/support.py"
    generated = len(own.answer.tokens) - own.answer.hint
    bits = [int(isinstance(loss, PolicyGradientLoss))] * own.answer.hint + [1] * generated
    return bits if own.in_update else [0] * len(bits)


def forced_cross_entropy(logps_BT: torch.Tensor, forced_B: torch.Tensor) -> torch.Tensor:
    """Return the mean over B answers of the cross entropy of their `forced_B` first tokens, in nats a token.

    Each answer's mean is over its own forced tokens, and 0 without any, as `loss_type: grpo` reduces the policy gradient.
    """
    forced_BT = torch.arange(logps_BT.shape[1], device=logps_BT.device) < forced_B.unsqueeze(1)
    # `where`, because a token that is not forced may be padding, and 0 times its -inf would be NaN.
    sums_B = torch.where(forced_BT, -logps_BT, 0.0).sum(dim=1)
    return (sums_B / forced_B.clamp(min=1)).mean()
