"""Seconds of the parts of a stage on one GPU (METHOD 8.5). Pure arithmetic; `estimate.py` puts the parts together."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c2f_spec.cost.sizes import Size
    from c2f_spec.spec.coefficients import Coefficients

LAYERS = 28
"""Of Qwen2.5-Omni-7B, for which seconds a token are given. Generating waits for layers, not for arithmetic."""


def train_seconds(size: Size, tokens: float, k: Coefficients, *, full: bool) -> float:
    """Forward and backward with checkpointing: 8 operations a weight and token, 6 where most weights are frozen."""
    return (8 if full else 6) * size.active * tokens / (k.train_utilisation * k.flops)


def forward_seconds(size: Size, tokens: float, k: Coefficients) -> float:
    """Log-probabilities of given tokens."""
    return 2 * size.active * tokens / (k.forward_utilisation * k.flops)


def generate_seconds(
    size: Size, answers: int, tokens: int, k: Coefficients, *, rows: int, vllm: bool
) -> float:
    """`answers` of `tokens` tokens, written in batches of `rows`."""
    token = (k.vllm_token_seconds if vllm else k.token_seconds) * size.layers / LAYERS
    return ceil(answers / rows) * (tokens * token + k.batch_seconds)


def hinted_share(prompts: int, k: Coefficients) -> float:
    """Share of steps with a second round of answers: GPUs wait for each other, so one hard prompt of a step is enough.

    The most that it can be: what is drawn beside the first answers (`runtime/training/hints/decide.py`) needs none.
    """
    return float(1 - (1 - k.hard) ** prompts)
