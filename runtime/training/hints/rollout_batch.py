"""The answers of one step: those that were sampled, those that the update uses, and the loss on the tokens of their hints.

The policy did not sample the tokens of a hint (METHOD 1.8, 6.3, 6.4). `grpo.hint.forced_loss` says what they count in:

    mask              none, no KL, no length (Hint-GRPO)
    policy_gradient   as if the policy had sampled them: advantage, KL, length
    sft               none of the policy gradient; coef times their cross entropy beside it (UFT)

With the whole group hinted no policy gradient reaches the hint's tokens, masked or not: advantages sum to zero over an
identical start. Of a mixed group, `policy_gradient` raises the hint's probability if hinted answers do better.

Shapes: n answers of this rank, N of all ranks, K rewards, F facts, B answers of a pass, T tokens of the longest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from c2f_spec.spec.hint import MaskLoss, PolicyGradientLoss, SftLoss, ShapedLoss
from runtime.training.hints.groups import Slot, StepShape, padded_rows, update_layout


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer of the update, for `rollouts.jsonl`."""

    clip: str
    completion: str
    rewards: dict[str, float]
    hinted: bool


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """The start of one answer: prompt and hint."""

    row: int
    """Row of its rank that has the clip and the prompt."""
    prompt: list[int]
    hint: list[int]


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """One answer of this rank, in tokens, its hint included."""

    tokens: list[int]
    hint: int = 0
    """Number of tokens of the hint."""
    logprobs: list[float | None] | None = None
    """Log-probabilities under the policy that sampled them, from engines that return them; `None` for a forced token."""


@dataclass(frozen=True, slots=True)
class FirstAnswers:
    """The first generation of a step: answers without hints."""

    rank: int
    shape: StepShape
    clips: list[str]
    """Ids of this rank's answers, in the order of `prompts` and `answers`."""
    prompts: list[list[int]]
    answers: list[AnswerTokens]
    rewards: torch.Tensor
    """Rewards of all ranks' answers: (N, K); `facts` is (N, F)."""
    facts: torch.Tensor


@dataclass(frozen=True, slots=True)
class HintedAnswers:
    """The hinted answers of a step."""

    slots: list[list[Slot]]
    width: int
    """Rows a rank in the tables."""
    answers: list[AnswerTokens]
    """Answers in this rank's slots."""
    rewards: torch.Tensor
    """(width * ranks, K), and facts (width * ranks, F)."""
    facts: torch.Tensor


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One row of this rank in the update."""

    row: int
    """Row of the step that has the clip and the prompt."""
    answer: AnswerTokens
    rewards: list[float]
    """Rewards before any is excluded."""
    in_update: bool
    """False for a row without loss and advantage."""
    blank: bool
    """True for a row without an answer, which only makes the ranks equal."""


@dataclass(frozen=True, slots=True)
class UpdateBatch:
    """The answers that the update uses, in TRL's order."""

    rows: list[UpdateRow]
    rewards: torch.Tensor
    """(N, K), for advantages. A NaN counts nothing; a row of NaN is in no mean and has no advantage."""
    groups: torch.Tensor
    """Number of each answer's group: (N,)."""
    hinted: torch.Tensor
    """True for hinted answers: (N,)."""
    share: float
    """Share of all rows that are in the update."""


def build_update_batch(
    first: FirstAnswers,
    with_hint: HintedAnswers,
    use_hinted: frozenset[int],
    dropped: frozenset[int],
    *,
    passes: int,
    end: int,
) -> UpdateBatch:
    """Return the update: hinted answers of the groups in `use_hinted`, in place of first answers or beside them.

    Groups in `dropped` are not in the update. Every rank has equally many rows, which divide over `passes`; a blank row has
    the one token `end`.
    """
    shape, start = first.shape, first.rank * first.shape.share
    joined = [sum(slot.group in use_hinted and not slot.replaces for slot in own) for own in with_hint.slots]
    rows = padded_rows(shape, joined, passes)
    of_group, source = update_layout(shape, with_hint.slots, with_hint.width, use_hinted, rows)
    firsts = shape.share * shape.world
    blank = firsts + with_hint.width * shape.world
    table_NK = torch.cat([first.rewards, with_hint.rewards, torch.full_like(first.rewards[:1], torch.nan)])
    rewards_NK = table_NK[source]
    in_update = [i < blank and g not in dropped for i, g in zip(source, of_group, strict=True)]
    blank_answer = AnswerTokens([end], logprobs=[None] if first.answers[0].logprobs is not None else None)

    def update_row(place: int) -> UpdateRow:
        i, part, earned = source[place], in_update[place], rewards_NK[place].tolist()
        if i < firsts:
            return UpdateRow(i - start, first.answers[i - start], earned, part, blank=False)
        if i < blank:
            slot = i - firsts - first.rank * with_hint.width
            return UpdateRow(
                with_hint.slots[first.rank][slot].row, with_hint.answers[slot], earned, part, blank=False
            )
        return UpdateRow(0, blank_answer, earned, in_update=False, blank=True)

    found = [update_row(place) for place in range(first.rank * rows, (first.rank + 1) * rows)]
    device = rewards_NK.device
    rewards_NK[~torch.tensor(in_update, device=device)] = torch.nan
    return UpdateBatch(
        found,
        rewards_NK,
        torch.tensor(of_group, device=device),
        torch.tensor([firsts <= i < blank for i in source], device=device),
        sum(in_update) / len(in_update),
    )


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
