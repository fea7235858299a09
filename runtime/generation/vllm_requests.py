"""Build vLLM's requests: token ids, frames and sound, and parameters of sampling.

vLLM makes features of frames and sound by itself, with the processor of the served folder. It gets the input of our
processor: frames of their final size, which it must not scale or thin out, and their rate in time. In the ids a run of
placeholders is one, which vLLM expands to the number of its features. It returns the expanded prompt, which must equal ours
to the token: then both have the same number of features in the same places.

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
from runtime.models.student import suppressed_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.media.features import DecodedClip

SUPPRESSED_BIAS = -100.0
"""Bias of a suppressed token's logit; the least that vLLM allows."""
MEDIA_PER_PROMPT = {"video": 1, "audio": 1, "image": 0}
"""Items of media a prompt: vLLM reserves room for the largest."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Parameters of sampling, under the names of the spec, transformers and vLLM."""

    max_tokens: int
    temperature: float
    """0 is greedy."""
    top_p: float
    top_k: int
    """0 is all."""


def assert_installed() -> None:
    """Raise `InvalidStageSpec` if vLLM is not installed, before a model is loaded."""
    if "vllm" not in sys.modules and find_spec("vllm") is None:
        raise InvalidStageSpec(
            "vLLM is not installed, and the engine needs it",
            hint="install it beside the runtime (TRL takes 0.22 to 0.31), or use `engine: transformers`",
        )


def build_request(prompt: Sequence[int], clip: DecodedClip, processor: Any) -> dict[str, Any]:
    """Return one of `LLM.generate`'s prompts."""
    media: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if clip.frames is not None:
        media["video"] = clip.frames
        options = {"do_resize": False, "do_sample_frames": False, "fps": len(clip.frames) / clip.seconds}
    if clip.sound is not None:
        media["audio"] = (clip.sound, RATE)
    built: dict[str, Any] = {"prompt_token_ids": collapse_placeholders(prompt, placeholders(processor))}
    if media:
        built |= {"multi_modal_data": media, "mm_processor_kwargs": options}
    return built


def placeholders(processor: Any) -> frozenset[int]:
    return frozenset({processor.video_token_id, processor.audio_token_id})


def collapse_placeholders(prompt: Sequence[int], tokens: frozenset[int]) -> list[int]:
    """Return `prompt` with each run of one of `tokens` as a single token."""
    return [t for i, t in enumerate(prompt) if t not in tokens or i == 0 or prompt[i - 1] != t]


def sampling_parameters(sampling: Sampling, tokenizer: Any) -> dict[str, Any]:
    """Return arguments of `SamplingParams`. Special tokens are suppressed as in transformers."""
    return {
        "n": 1,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "logit_bias": dict.fromkeys(suppressed_tokens(tokenizer), SUPPRESSED_BIAS),
        "stop_token_ids": [tokenizer.eos_token_id],
        "detokenize": False,
    }


def sampled_logprobs(logprobs: Sequence[Sequence[Sequence[float | None]]]) -> list[list[float | None]]:
    """Return the log-probability of each sampled token: the only one of each position that was requested."""
    return [[place[0] for place in answer] for answer in logprobs]


def assert_same_prompt(prompt: Sequence[int], expanded: Sequence[int]) -> None:
    """Raise `InvalidStageSpec` unless vLLM's prompt, with its features expanded, equals ours."""
    if list(expanded) != list(prompt):
        raise InvalidStageSpec(
            f"vLLM made {len(expanded)} tokens of a prompt that has {len(prompt)}: its processor differs from ours",
            hint="set `engine: transformers`, or install a version of vLLM whose processor agrees",
        )
