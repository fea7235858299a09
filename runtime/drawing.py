"""Sampling in which each row draws from a seed of its own.

A token is drawn by adding Gumbel noise to the logits and taking the largest (Gumbel 1954; Maddison, Tarlow and Minka 2014,
https://arxiv.org/abs/1411.0030), which is a draw from their softmax. So the sampled answer to a clip hangs on its seed alone,
and not on which other clips it was answered with, on which pod, or after what interruption.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

if TYPE_CHECKING:
    from collections.abc import Sequence

TINY = torch.finfo(torch.float32).tiny
"""A uniform number is never 0, whose logarithm no largest could be found with."""


class Drawn(LogitsProcessor):  # type: ignore[misc]  # transformers has no type hints
    """Logits -> logits whose largest is the token that is drawn. The rows of a batch keep their places."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:  # noqa: ARG002
        """Scores (B, V)."""
        uniform_BV = torch.stack(
            [torch.rand(scores.shape[1], generator=g, device=scores.device) for g in self._generators]
        )
        return scores.float() - torch.log(-torch.log(uniform_BV.clamp_min(TINY)))


def sampling(seeds: Sequence[int], temperature: float, top_p: float, device: torch.device) -> Any:
    """What makes greedy generation sample the nucleus `top_p` of the distribution at `temperature`."""
    warpers: list[Any] = [TemperatureLogitsWarper(temperature)] if temperature != 1 else []
    warpers += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    return LogitsProcessorList([*warpers, Drawn(seeds, device)])
