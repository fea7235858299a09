"""The next token of each row: the likeliest, or one drawn from a seed of the row's own.

A token is drawn by adding Gumbel noise to the logits and taking the largest (Gumbel 1954; Maddison, Tarlow and Minka 2014,
https://arxiv.org/abs/1411.0030), which is a draw from their softmax. So the sampled answer to a clip hangs on its seed alone,
and not on which other clips it was answered with, on which pod, or after what interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

if TYPE_CHECKING:
    from c2f_spec.spec.evaluate import Decoding

TINY = torch.finfo(torch.float32).tiny
"""A uniform number is never 0, whose logarithm no largest could be found with."""

Choose = Callable[[torch.Tensor, Sequence[torch.Generator]], torch.Tensor]
"""Logits (B, V), and the generators of the rows if tokens are drawn -> tokens (B,)."""


def choosing(decoding: Decoding, never: Sequence[int], device: torch.device) -> Choose:
    """By the temperature and the nucleus of `decoding`; the tokens `never` are not chosen."""
    forbidden = torch.tensor(never, dtype=torch.long, device=device)
    warpers: list[Any] = []
    if decoding.temperature not in (0, 1):
        warpers.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.temperature and decoding.top_p < 1:
        warpers.append(TopPLogitsWarper(decoding.top_p))

    def choose(scores_BV: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        scores_BV = scores_BV.index_fill(1, forbidden, -torch.inf)
        for warper in warpers:
            scores_BV = warper(None, scores_BV)
        return (scores_BV + noise(generators, scores_BV) if generators else scores_BV).argmax(dim=1)

    return choose


def noise(generators: Sequence[torch.Generator], scores_BV: torch.Tensor) -> torch.Tensor:
    """Gumbel noise (B, V)."""
    uniform_BV = torch.stack(
        [torch.rand(scores_BV.shape[1], generator=g, device=scores_BV.device) for g in generators]
    )
    return -torch.log(-torch.log(uniform_BV.clamp_min(TINY)))
