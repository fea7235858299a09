"""vLLM at its boundary: what our engines call of it, doing on a CPU what it promises.

It takes weights by the names of the hub and no others, loses them when it sleeps at level 2, expands each placeholder to
as many tokens as its own processor makes features, and generates with the weights that it has.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from transformers import (
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

MAPPED = {
    "thinker.model.": "model.language_model.",
    "thinker.visual.": "model.visual.",
    "thinker.audio_tower.": "model.audio_tower.",
    "thinker.lm_head.": "lm_head.",
}
"""As its thinker maps the names of a checkpoint to its modules (`hf_to_vllm_mapper`)."""
FRAME, MERGED = 14, 2


@dataclass
class SamplingParams:
    n: int
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    logit_bias: dict[int, float]
    stop_token_ids: list[int]
    detokenize: bool
    seed: int | None = None
    logprobs: int | None = None


@dataclass
class LLM:
    """One prompt a call of the model, without a cache."""

    model: str
    load_format: str = "auto"
    dtype: str = "auto"
    tensor_parallel_size: int = 1
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    limit_mm_per_prompt: dict[str, int] | None = None
    enable_sleep_mode: bool = False
    distributed_executor_backend: str | None = None
    logprobs_mode: str = "raw_logprobs"
    seed: int = 0
    asked: list[tuple[dict[str, Any], SamplingParams]] = field(default_factory=list)
    awake: set[str] = field(default_factory=lambda: {"weights", "kv_cache"})
    stale: bool = False
    """A fault: features of another number than our processor's."""

    def __post_init__(self) -> None:
        config = json.loads((Path(self.model) / "config.json").read_text())
        assert config["model_type"] == "qwen2_5_omni", (
            "the only kind of folder that vLLM knows the thinker by"
        )
        self.processor = Qwen2_5OmniProcessor.from_pretrained(self.model)
        self.thinker = Qwen2_5OmniThinkerForConditionalGeneration(
            Qwen2_5OmniThinkerConfig(**config["thinker_config"])
        )
        self.lost()
        if self.load_format == "auto":
            from safetensors.torch import load_file

            for file in Path(self.model).glob("*.safetensors"):
                self.load_weights(list(load_file(file).items()))
        runner = SimpleNamespace(model=SimpleNamespace(load_weights=self.load_weights))
        worker = SimpleNamespace(model_runner=runner)
        self.llm_engine = SimpleNamespace(model_executor=SimpleNamespace(driver_worker=worker))

    def lost(self) -> None:
        with torch.no_grad():
            for parameter in self.thinker.parameters():
                parameter.fill_(torch.nan)

    def load_weights(self, weights) -> None:
        assert "weights" in self.awake
        own = dict(self.thinker.named_parameters())
        for name, tensor in weights:
            start = next(prefix for prefix in MAPPED if name.startswith(prefix))
            with torch.no_grad():
                own[MAPPED[start] + name.removeprefix(start)].copy_(tensor)

    def sleep(self, level: int = 1) -> None:
        assert level == 2
        self.awake.clear()
        self.lost()

    def wake_up(self, tags: list[str]) -> None:
        self.awake |= set(tags)

    def reset_prefix_cache(self) -> None:
        assert "weights" in self.awake

    def generate(self, prompts, sampling_params, use_tqdm):
        assert self.awake == {"weights", "kv_cache"}
        assert not use_tqdm
        each = sampling_params if isinstance(sampling_params, list) else [sampling_params] * len(prompts)
        self.asked += list(zip(prompts, each, strict=True))
        return [self._answer(prompt, params) for prompt, params in zip(prompts, each, strict=True)]

    def _answer(self, prompt, params):
        ids, media = self._expanded(prompt)
        drawing = {"do_sample": False}
        if params.temperature > 0:
            drawing = {"do_sample": True, "temperature": params.temperature, "top_k": params.top_k}
        never = [token for token, bias in params.logit_bias.items() if bias <= -100]
        with torch.no_grad():
            found = self.thinker.generate(
                input_ids=torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                **media,
                max_new_tokens=params.max_tokens,
                **drawing,
                suppress_tokens=never,
                eos_token_id=params.stop_token_ids,
                pad_token_id=params.stop_token_ids[0],
                return_dict_in_generate=True,
                output_scores=True,
            )
        made = found.sequences[0, len(ids) :].tolist()
        ended = made[-1] in params.stop_token_ids
        answer = SimpleNamespace(
            token_ids=tuple(made),
            finish_reason="stop" if ended else "length",
            logprobs=None if params.logprobs is None else self._told(made, found.scores),
        )
        return SimpleNamespace(prompt_token_ids=[*ids, *[0] * self.stale], outputs=[answer])

    def _told(self, made, scores):
        """Of each token that was drawn, from logits of half precision, as its kernels compute them."""
        assert self.logprobs_mode == "processed_logprobs"
        rows = [row[0].bfloat16().float().log_softmax(-1) for row in scores]
        return [
            {token: SimpleNamespace(logprob=row[token].item(), rank=1)}
            for token, row in zip(made, rows, strict=True)
        ]

    def _expanded(self, prompt) -> tuple[list[int], dict[str, torch.Tensor]]:
        items, options = prompt["multi_modal_data"], prompt["mm_processor_kwargs"]
        sound, rate = items["audio"]
        assert (rate, options["do_resize"], options["do_sample_frames"]) == (16_000, False, False)
        text = self.processor.video_token + self.processor.audio_token
        made = self.processor(
            text=[text], videos=[items["video"]], audio=[sound], videos_kwargs=options, return_tensors="pt"
        )
        length = int(made["feature_attention_mask"].sum())
        counts = {
            token: made["input_ids"][0].tolist().count(token)
            for token in (self.processor.video_token_id, self.processor.audio_token_id)
        }
        ids = [token for each in prompt["prompt_token_ids"] for token in [each] * counts.get(each, 1)]
        names = ("pixel_values_videos", "video_grid_thw")
        return ids, {
            **{name: made[name] for name in names},
            "video_second_per_grid": torch.as_tensor(made["video_second_per_grid"], dtype=torch.float32),
            "input_features": made["input_features"][:, :, :length],
            "feature_attention_mask": made["feature_attention_mask"][:, :length],
        }


def module() -> ModuleType:
    """What `import vllm` gives."""
    made = ModuleType("vllm")
    made.LLM, made.SamplingParams = LLM, SamplingParams
    return made


def installed(monkeypatch) -> list[LLM]:
    """In place of vLLM until the test ends; the engines that were started."""
    fake, made = module(), []

    def start(**arguments):
        made.append(LLM(**arguments))
        return made[-1]

    fake.LLM = start
    monkeypatch.setitem(sys.modules, "vllm", fake)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that what is set while it starts is taken back
        monkeypatch.delenv(name)
    return made
