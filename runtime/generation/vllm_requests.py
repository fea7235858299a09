"""Build vLLM's requests (token ids, frames and sound, parameters of sampling), and send them to a server for GRPO.

vLLM makes features of frames and sound by itself, with the processor of the served folder. It gets the input of our
processor: frames of their final size, which it must not scale or thin out, and their rate in time. In the ids a run of
placeholders is one, which vLLM expands to the number of its features. It returns the expanded prompt, which must equal ours
to the token: then both have the same number of features in the same places.

https://docs.vllm.ai/en/stable/features/multimodal_inputs/ (`prompt_token_ids` with `multi_modal_data`,
`mm_processor_kwargs`), and vllm/model_executor/models/qwen2_5_omni_thinker.py.

A `vllm serve` gets them through TRL's client: media are processed first, then paired with token ids. Start it by hand,
beside training on one machine (C2F460 explains why not on a cluster), with TRL's options and the folder of the released
student:

    CUDA_VISIBLE_DEVICES=3 VLLM_SERVER_DEV_MODE=1 vllm serve FOLDER --weight-transfer-config '{"backend": "nccl"}' --enable-scale-out
        --logprobs-mode processed_logprobs --limit-mm-per-prompt '{"video": 1, "audio": 1, "image": 0}'
        --media-io-kwargs '{"video": {"num_frames": -1}}'

Training leaves it the last `engine.tensor_parallel` of its GPUs. It must not thin out frames; the number of their features
is checked against our prompt.
"""

from __future__ import annotations

import base64
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from runtime.media.decode import RATE
from runtime.models.thinker import suppressed_tokens

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


MAX_CONCURRENT_REQUESTS = 64
"""Requests of one prompt each."""


def generate_on_server(
    client: Any, requests: Sequence[tuple[list[int], DecodedClip]], processor: Any, parameters: dict[str, Any]
) -> tuple[list[list[int]], list[list[float | None]]]:
    """Return the tokens of one answer to each prompt, and their log-probabilities."""
    tokens = {"video": processor.video_token_id, "audio": processor.audio_token_id}
    with ThreadPoolExecutor(min(MAX_CONCURRENT_REQUESTS, len(requests))) as pool:
        features = list(
            pool.map(
                lambda each: place_features(_features(client, each[0], each[1], processor), each[0], tokens),
                requests,
            )
        )
    named = {k: v for k, v in parameters.items() if k not in CLIENT_ARGUMENTS}
    answer = client.generate(
        prompts=[prompt for prompt, _ in requests],
        features=features,
        generation_kwargs=named,
        **{k: parameters[k] for k in CLIENT_ARGUMENTS},
    )
    return answer["completion_ids"], sampled_logprobs(answer["logprobs"])


def assert_processed_logprobs(client: Any) -> None:
    """Raise `InvalidStageSpec` unless the server returns log-probabilities of the distribution that it samples from."""
    mode = client.get_server_info()["model_config"]["logprobs_mode"]
    if mode != "processed_logprobs":
        raise InvalidStageSpec(
            f"the vLLM server at {client.base_url} returns `{mode}`, but answers are weighted by `processed_logprobs`",
            hint="start the server with `--logprobs-mode processed_logprobs`, as `runtime/generation/vllm_requests.py` says",
        )


CLIENT_ARGUMENTS = ("n", "max_tokens", "temperature", "top_p", "top_k")
"""Parameters that are arguments of TRL's client."""


def _features(client: Any, prompt: list[int], media: DecodedClip, processor: Any) -> dict[str, Any]:
    """Return the server's features of the media, from a conversation that is dropped."""
    options = build_request(prompt, media, processor).get("mm_processor_kwargs", {})
    message = {"role": "user", "content": media_parts(media)}
    body = {"model": client.model, "messages": [message], "max_tokens": 1, "mm_processor_kwargs": options}
    answer = client.session.post(f"{client.base_url}/v1/chat/completions/render", json=body)
    if answer.status_code != 200:
        raise InvalidStageSpec(
            f"the vLLM server at {client.base_url} does not process media: {answer.status_code}",
            hint="start the server with `--enable-scale-out` (vLLM 0.30), as `runtime/generation/vllm_requests.py` says",
        )
    features: dict[str, Any] = answer.json()["features"]
    return features


def media_parts(media: DecodedClip) -> list[dict[str, Any]]:
    """Return media as the parts of a message: frames one by one and without loss, sound as WAV."""
    import soundfile
    from PIL import Image

    parts: list[dict[str, Any]] = []
    if media.frames is not None:
        pictures = []
        for frame in media.frames:
            Image.fromarray(frame).save(file := io.BytesIO(), format="PNG")
            pictures.append(base64.b64encode(file.getvalue()).decode())
        # vLLM's name for a list of pictures; it detects the format of each.
        parts.append(
            {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(pictures)}"}}
        )
    if media.sound is not None:
        soundfile.write(file := io.BytesIO(), media.sound, RATE, format="WAV", subtype="FLOAT")
        data = base64.b64encode(file.getvalue()).decode()
        parts.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
    return parts


def place_features(features: dict[str, Any], prompt: Sequence[int], tokens: dict[str, int]) -> dict[str, Any]:
    """Return `features` at the placeholders of `prompt`. Raises `InvalidStageSpec` if their numbers differ."""
    where = {}
    for kind, placeholders in features["mm_placeholders"].items():
        runs = placeholder_runs(prompt, tokens[kind])
        if [run["length"] for run in runs] != [each["length"] for each in placeholders]:
            raise InvalidStageSpec(
                f"the vLLM server makes {[each['length'] for each in placeholders]} features of {kind}, and the prompt has "
                f"{[run['length'] for run in runs]}",
                hint="start the server as `runtime/generation/vllm_requests.py` says, or use `engine: transformers`",
            )
        where[kind] = runs
    return {**features, "mm_placeholders": where}


def placeholder_runs(prompt: Sequence[int], token: int) -> list[dict[str, int]]:
    """Return start and length of each run of `token`."""
    runs: list[dict[str, int]] = []
    for i, each in enumerate(prompt):
        if each != token:
            continue
        if runs and runs[-1]["offset"] + runs[-1]["length"] == i:
            runs[-1]["length"] += 1
        else:
            runs.append({"offset": i, "length": 1})
    return runs
