"""Generate answers for GRPO on a `vllm serve`, through TRL's client: media are processed first, then paired with token ids.

Start the server by hand, beside training on one machine (C2F460 explains why not on a cluster), with TRL's options and the
folder of the released student:

    CUDA_VISIBLE_DEVICES=3 VLLM_SERVER_DEV_MODE=1 vllm serve FOLDER --weight-transfer-config '{"backend": "nccl"}' --enable-scale-out
        --logprobs-mode processed_logprobs --limit-mm-per-prompt '{"video": 1, "audio": 1, "image": 0}'
        --media-io-kwargs '{"video": {"num_frames": -1}}'

Training leaves it the last `engine.tensor_parallel` of its GPUs. It must not thin out frames; the number of their features is
checked against our prompt.
"""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from runtime.generation.vllm_requests import build_request, sampled_logprobs
from runtime.media.decode import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.media.features import DecodedClip

MAX_CONCURRENT_REQUESTS = 64
"""Requests of one prompt each."""


def generate(
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
            hint="start the server with `--logprobs-mode processed_logprobs`, as `runtime/generation/vllm_server.py` says",
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
            hint="start the server with `--enable-scale-out` (vLLM 0.30), as `runtime/generation/vllm_server.py` says",
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
                hint="start the server as `runtime/generation/vllm_server.py` says, or use `engine: transformers`",
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
