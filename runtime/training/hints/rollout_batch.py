"""The answers of one step: those that were given, and those that the update uses.

Shapes: n answers of this rank, N of all ranks, K rewards, F facts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from runtime.training.hints.groups import Shape, Slot, layout, padded


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled answer that the update was given, for people to look at."""

    clip: str
    completion: str
    rewards: dict[str, float]
    hinted: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What one answer goes on from."""

    row: int
    """Of its rank: whose clip and prompt it has."""
    prompt: list[int]
    hint: list[int]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of this rank, in tokens."""

    tokens: list[int]
    hint: int = 0
    """So many of them are the hint."""
    logprobs: list[float | None] | None = None
    """Under the policy that sampled them, from engines that tell; `None` for a token that was not sampled."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the policy says by itself."""

    rank: int
    shape: Shape
    clips: list[str]
    """Of this rank's answers, like prompts and `first`."""
    prompts: list[list[int]]
    first: list[Answer]
    rewards: torch.Tensor
    """Of all ranks, like facts: (N, K) and (N, F)."""
    facts: torch.Tensor


@dataclass(frozen=True, slots=True)
class Again:
    """The second generation of a step."""

    of_ranks: list[list[Slot]]
    width: int
    """Rows of each rank in the tables."""
    own: list[Answer]
    """Of this rank's slots."""
    rewards: torch.Tensor
    """(width * ranks, K), and facts (width * ranks, F)."""
    facts: torch.Tensor


@dataclass(frozen=True, slots=True)
class Own:
    """One row of this rank in the update."""

    row: int
    """Of the step: whose clip and prompt it has."""
    answer: Answer
    rewards: list[float]
    """As it earned them."""
    has_part: bool
    """In the update; else it has no loss and no advantage."""
    blank: bool
    """It is no answer, and only makes the ranks equal."""


@dataclass(frozen=True, slots=True)
class Used:
    """The answers that the update is given, in TRL's order."""

    own: list[Own]
    rewards: torch.Tensor
    """(N, K). Advantages are computed from these. NaN counts nothing, and a row of NaN has no part in anything."""
    groups: torch.Tensor
    """Number of the group of each answer: (N,)."""
    hinted: torch.Tensor
    """(N,), bool."""
    share: float
    """Of all rows, that have a part."""


def assembled(
    step: Step, again: Again, taken: frozenset[int], dropped: frozenset[int], *, passes: int, end: int
) -> Used:
    """The hinted answers of the groups that are `taken`, in place of first ones or beside them.

    Every rank has equally many rows, which divide over `passes`; `end` is the token that a row without an answer has.
    """
    shape, first = step.shape, step.rank * step.shape.share
    joined = [sum(slot.group in taken and not slot.replaces for slot in own) for own in again.of_ranks]
    rows = padded(shape, joined, passes)
    of_group, source = layout(shape, again.of_ranks, again.width, taken, rows)
    firsts = shape.share * shape.world
    blank = firsts + again.width * shape.world
    table_NK = torch.cat([step.rewards, again.rewards, torch.full_like(step.rewards[:1], torch.nan)])
    rewards_NK = table_NK[source]
    has_part = [i < blank and g not in dropped for i, g in zip(source, of_group, strict=True)]
    nothing = Answer([end], logprobs=[None] if step.first[0].logprobs is not None else None)

    def own(place: int) -> Own:
        i, part, earned = source[place], has_part[place], rewards_NK[place].tolist()
        if i < firsts:
            return Own(i - first, step.first[i - first], earned, part, blank=False)
        if i < blank:
            slot = i - firsts - step.rank * again.width
            return Own(again.of_ranks[step.rank][slot].row, again.own[slot], earned, part, blank=False)
        return Own(0, nothing, earned, has_part=False, blank=True)

    found = [own(place) for place in range(step.rank * rows, (step.rank + 1) * rows)]
    device = rewards_NK.device
    rewards_NK[~torch.tensor(has_part, device=device)] = torch.nan
    return Used(
        found,
        rewards_NK,
        torch.tensor(of_group, device=device),
        torch.tensor([firsts <= i < blank for i in source], device=device),
        sum(has_part) / len(has_part),
    )
