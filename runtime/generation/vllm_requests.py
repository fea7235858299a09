"""A prompt and its media as vLLM takes them: token ids, frames and sound, and what is sampled.

vLLM cuts frames and sound into features by itself, with the processor of the folder that it serves. It is given what our
processor was given: frames of their final size, which it must not scale or thin out, and the rate that places them in
time. In the ids a run of placeholders stands as one, which vLLM expands again to what it made of the media. That it says
back, and it must be our prompt to the token: then both see the same number of features in the same places.

https://docs.vllm.ai/en/stable/features/multimodal_inputs/ (`prompt_token_ids` with `multi_modal_data`,
`mm_processor_kwargs`), and vllm/model_executor/models/qwen2_5_omni_thinker.py.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from runtime.media.decode import RATE
from runtime.models.student import suppressed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.media.features import DecodedClip

NEVER = -100.0
"""Added to a logit; the least that vLLM takes."""
MOST = {"video": 1, "audio": 1, "image": 0}
"""Items of a prompt: vLLM keeps room for the largest."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn: the same words in the spec, in transformers and in vLLM."""

    max_tokens: int
    temperature: float
    """0 is greedy."""
    top_p: float
    top_k: int
    """0 is all."""


def assert_installed() -> None:
    """Raises `InvalidStageSpec` where there is no vLLM: before a model is loaded that it would answer for."""
    if "vllm" not in sys.modules and find_spec("vllm") is None:
        raise InvalidStageSpec(
            "vLLM shall generate, and it is not installed here",
            hint="install it beside the runtime (TRL takes 0.22 to 0.31), or use `engine: transformers`",
        )


def request(prompt: Sequence[int], shown: DecodedClip, processor: Any) -> dict[str, Any]:
    """One of `LLM.generate`'s prompts."""
    media: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if shown.frames is not None:
        media["video"] = shown.frames
        options = {"do_resize": False, "do_sample_frames": False, "fps": len(shown.frames) / shown.seconds}
    if shown.sound is not None:
        media["audio"] = (shown.sound, RATE)
    asked: dict[str, Any] = {"prompt_token_ids": collapsed(prompt, placeholders(processor))}
    if media:
        asked |= {"multi_modal_data": media, "mm_processor_kwargs": options}
    return asked


def placeholders(processor: Any) -> frozenset[int]:
    return frozenset({processor.video_token_id, processor.audio_token_id})


def collapsed(prompt: Sequence[int], tokens: frozenset[int]) -> list[int]:
    """`prompt` with each run of one of `tokens` as a single one."""
    return [t for i, t in enumerate(prompt) if t not in tokens or i == 0 or prompt[i - 1] != t]


def parameters(sampling: Sampling, tokenizer: Any) -> dict[str, Any]:
    """Arguments of `SamplingParams`. Special tokens but the end of the turn are never drawn, as in transformers."""
    return {
        "n": 1,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "logit_bias": dict.fromkeys(suppressed(tokenizer), NEVER),
        "stop_token_ids": [tokenizer.eos_token_id],
        "detokenize": False,
    }


def sampled(logprobs: Sequence[Sequence[Sequence[float | None]]]) -> list[list[float | None]]:
    """Of the most probable tokens in each place, of which one was asked for: the one that was drawn."""
    return [[place[0] for place in answer] for answer in logprobs]


def assert_same(prompt: Sequence[int], seen: Sequence[int]) -> None:
    """Raises `InvalidStageSpec` unless vLLM made of the media what our processor made of them."""
    if list(seen) != list(prompt):
        raise InvalidStageSpec(
            f"vLLM made {len(seen)} tokens of a prompt that has {len(prompt)}: it cuts the media in another way",
            hint="`engine: transformers`, or a version of vLLM whose processor agrees",
        )
