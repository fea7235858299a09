"""Estimate the peak memory of one GPU, in bytes (METHOD 8.4). Estimates of LoRA run 10 to 30 % low.

A pass holds the weights, what is trained (weight, gradient and both moments of AdamW in float32), activations between
checkpointed layers, and the logits of the tokens that are learned. Generating holds weights and the key-value cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from c2f_spec.cost.sizes import GIB, Size

if TYPE_CHECKING:
    from c2f_spec.spec.coefficients import Coefficients

LOGIT_BYTES = 10
"""Bytes of a logit: in bfloat16 and float32 with its gradient. A fused loss needs 2."""
GATHERED_BYTES = 3 * GIB
"""Layers that ZeRO 3 has gathered at a time."""
ANSWER_BYTES = 0.3 * GIB
"""Bytes of each answer while it is generated, besides its cache."""


class Training(NamedTuple):
    """The facts of a training that decide its memory."""

    size: Size
    adapters: float | None
    """Parameters of LoRA's adapters; none: every weight of the text model is trained."""
    zero: Literal["off", "2", "3"]
    gpus: int
    rows: int
    """Rows of a GPU in one pass."""
    tokens: int
    """Tokens of a row, prompt and answer."""
    learned: int
    """Tokens of a row that have a loss."""


class Sampling(NamedTuple):
    """The facts of GRPO's generation that decide its memory."""

    reference: bool
    """The reference model is a second copy: with a KL term, unless it is the model without its adapters."""
    answers: int
    """Generated at a time, by one GPU."""
    vllm: float
    """Share of the GPU that vLLM takes for itself, while it answers; 0: transformers generates."""


def training_state_bytes(t: Training) -> float:
    """Return bytes of weights, gradients and optimiser on one GPU."""
    if t.adapters is not None:
        spread = t.size.weights / t.gpus + GATHERED_BYTES if t.zero == "3" else t.size.weights
        return spread + 16 * t.adapters
    if t.zero == "off":  # weights, gradients and both moments in float32, without a copy of the weights
        return 2 * t.size.towers + 16 * t.size.text
    if t.zero == "2":
        return t.size.weights + 2 * t.size.text + 16 * t.size.text / t.gpus
    return (t.size.weights + 2 * t.size.text + 16 * t.size.text) / t.gpus + GATHERED_BYTES


def activation_bytes(t: Training) -> float:
    """Return bytes of a pass: checkpoints of every layer, one layer in full, the logits."""
    s = t.size
    kept = t.rows * t.tokens * (2 * s.layers * s.hidden + 18 * s.inner + 32 * s.hidden)
    return kept + t.rows * t.learned * s.vocabulary * LOGIT_BYTES


def training_bytes(t: Training, sampling: Sampling | None, gpu: float, k: Coefficients) -> float:
    """Return the peak of a GPU of `gpu` bytes."""
    most = step_bytes(t, sampling)
    return with_fragmentation(max(most, generation_bytes(t, sampling, gpu)) if sampling else most, k)


def step_bytes(t: Training, sampling: Sampling | None) -> float:
    """Return bytes of tensors in a training step, during which vLLM sleeps (`runtime/generation/vllm_rollout.py`); compared with
    what was measured by `python -m tests.bench memory`.
    """
    return training_state_bytes(t) + activation_bytes(t) + (_reference(t, sampling) if sampling else 0.0)


def generation_bytes(t: Training, sampling: Sampling, gpu: float) -> float:
    """Return bytes of tensors in generation: the cache, and under ZeRO 3 all weights, unless vLLM has both."""
    held = training_state_bytes(t) + _reference(t, sampling)
    if sampling.vllm:
        return held + sampling.vllm * gpu
    cache = sampling.answers * (t.size.kv * t.tokens + ANSWER_BYTES)
    return held + cache + (t.size.weights if _parts(t) > 1 else 0.0)


def _reference(t: Training, sampling: Sampling) -> float:
    return t.size.weights / _parts(t) if sampling.reference else 0.0


def _parts(t: Training) -> int:
    """Return over how many GPUs the weights are spread."""
    return t.gpus if t.zero == "3" else 1


def checkpoint_bytes(size: Size, adapters: float | None) -> float:
    """Return bytes of a checkpoint: weights in bfloat16 and AdamW's state of what is trained."""
    if adapters is not None:
        return 14 * adapters
    return size.weights + 12 * size.text


def inference_bytes(size: Size, gpus: int, answers: int, tokens: int, k: Coefficients) -> float:
    """Return the peak of each of the `gpus` that share the weights and the cache of a batch of answers."""
    return with_fragmentation((size.weights + answers * (size.kv * tokens + ANSWER_BYTES)) / gpus, k)


def with_fragmentation(tensors: float, k: Coefficients) -> float:
    """Return the bytes of a GPU that `tensors` bytes take."""
    return tensors * k.memory_factor + k.memory_fixed * GIB
