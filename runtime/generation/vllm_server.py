"""A `vllm serve` that answers for GRPO, through TRL's client: media are processed first, then paired with token ids.

The server is started by hand, beside training on one machine (C2F460 says why not on a cluster), with what TRL needs and the
folder of the released student:

    CUDA_VISIBLE_DEVICES=3 VLLM_SERVER_DEV_MODE=1 vllm serve FOLDER --weight-transfer-config '{"backend": "nccl"}' --enable-scale-out
        --logprobs-mode processed_logprobs --limit-mm-per-prompt '{"video": 1, "audio": 1, "image": 0}'
        --media-io-kwargs '{"video": {"num_frames": -1}}'

Training leaves it the last `engine.tensor_parallel` of the GPUs that it sees. It must not thin out the frames that it is sent; that their features have the places of our prompt is checked.
"""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from runtime.generation.vllm_requests import request, sampled
from runtime.media.decode import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.media.features import DecodedClip

AT_ONCE = 64
"""Requests; each is of one prompt."""


def ask(
    client: Any, asked: Sequence[tuple[list[int], DecodedClip]], processor: Any, parameters: dict[str, Any]
) -> tuple[list[list[int]], list[list[float | None]]]:
    """The tokens of one answer to each prompt, and their log-probabilities."""
    tokens = {"video": processor.video_token_id, "audio": processor.audio_token_id}
    with ThreadPoolExecutor(min(AT_ONCE, len(asked))) as pool:
        features = list(
            pool.map(
                lambda each: placed(_features(client, each[0], each[1], processor), each[0], tokens), asked
            )
        )
    named = {k: v for k, v in parameters.items() if k not in TAKEN}
    answer = client.generate(
        prompts=[prompt for prompt, _ in asked],
        features=features,
        generation_kwargs=named,
        **{k: parameters[k] for k in TAKEN},
    )
    return answer["completion_ids"], sampled(answer["logprobs"])


def assert_processed(client: Any) -> None:
    """Raises `InvalidStageSpec` unless the server tells log-probabilities of the distribution that it draws from."""
    mode = client.get_server_info()["model_config"]["logprobs_mode"]
    if mode != "processed_logprobs":
        raise InvalidStageSpec(
            f"the vLLM server at {client.base_url} tells `{mode}`, and answers are weighted by `processed_logprobs`",
            hint="start it with `--logprobs-mode processed_logprobs`, as `runtime/generation/vllm_server.py` says",
        )


TAKEN = ("n", "max_tokens", "temperature", "top_p", "top_k")
"""Parameters that TRL's client has arguments for."""


def _features(client: Any, prompt: list[int], shown: DecodedClip, processor: Any) -> dict[str, Any]:
    """What the server makes of the media, in a conversation that is thrown away."""
    options = request(prompt, shown, processor).get("mm_processor_kwargs", {})
    message = {"role": "user", "content": parts(shown)}
    body = {"model": client.model, "messages": [message], "max_tokens": 1, "mm_processor_kwargs": options}
    answer = client.session.post(f"{client.base_url}/v1/chat/completions/render", json=body)
    if answer.status_code != 200:
        raise InvalidStageSpec(
            f"the vLLM server at {client.base_url} does not process media: {answer.status_code}",
            hint="start it with `--enable-scale-out` (vLLM 0.30), as `runtime/generation/vllm_server.py` says",
        )
    features: dict[str, Any] = answer.json()["features"]
    return features


def parts(shown: DecodedClip) -> list[dict[str, Any]]:
    """Media as the parts of a message: frames one by one and without loss, sound as WAV."""
    import soundfile
    from PIL import Image

    found: list[dict[str, Any]] = []
    if shown.frames is not None:
        pictures = []
        for frame in shown.frames:
            Image.fromarray(frame).save(file := io.BytesIO(), format="PNG")
            pictures.append(base64.b64encode(file.getvalue()).decode())
        # vLLM's name for a list of pictures; it looks at each to know its format.
        found.append(
            {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(pictures)}"}}
        )
    if shown.sound is not None:
        soundfile.write(file := io.BytesIO(), shown.sound, RATE, format="WAV", subtype="FLOAT")
        data = base64.b64encode(file.getvalue()).decode()
        found.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
    return found


def placed(features: dict[str, Any], prompt: Sequence[int], tokens: dict[str, int]) -> dict[str, Any]:
    """`features` at the placeholders of `prompt`. Raises `InvalidStageSpec` if they are not as many as those."""
    where = {}
    for kind, said in features["mm_placeholders"].items():
        runs = runs_of(prompt, tokens[kind])
        if [run["length"] for run in runs] != [each["length"] for each in said]:
            raise InvalidStageSpec(
                f"the vLLM server makes {[each['length'] for each in said]} features of {kind}, and the prompt has "
                f"{[run['length'] for run in runs]}",
                hint="start it as `runtime/generation/vllm_server.py` says, or use `engine: transformers`",
            )
        where[kind] = runs
    return {**features, "mm_placeholders": where}


def runs_of(prompt: Sequence[int], token: int) -> list[dict[str, int]]:
    """Start and length of each run of `token`."""
    runs: list[dict[str, int]] = []
    for i, each in enumerate(prompt):
        if each != token:
            continue
        if runs and runs[-1]["offset"] + runs[-1]["length"] == i:
            runs[-1]["length"] += 1
        else:
            runs.append({"offset": i, "length": 1})
    return runs
