"""Prompts without media, for a small model of text with random weights: TRL's own trainer can be told the same."""

from __future__ import annotations

import functools
import json
import math
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from c2f_spec.spec.hint import Hint
from runtime.models.layout import link_with_thinker_class
from runtime.models.rows import Row
from runtime.models.thinker import load
from runtime.training.grpo_trainer import GRPOConfig, GRPOTrainer
from runtime.training.hints.answer_metrics import AnswerFacts
from runtime.training.hints.schedule import HintPolicy
from tests.support import omni

HINT = "<polarity>Negative</polarity>\n\n"
ROOT = tempfile.TemporaryDirectory(prefix="text-policy-")
PROMPTS = [f"{n} films out of {m}, and the words are " for n in range(8) for m in range(10)]


class TextReader:
    """A prompt is its own id."""

    def __init__(self, tokenizer) -> None:
        self._tokenizer, self._rows = tokenizer, {}

    def row(self, prompt: str) -> Row:
        if prompt not in self._rows:
            self._rows[prompt] = Row(prompt, tuple(self._tokenizer(text=[prompt])["input_ids"][0]), {})
        return self._rows[prompt]

    def rows(self, prompts) -> list[Row]:
        return [self.row(prompt) for prompt in prompts]

    def prefetch(self, prompts) -> None:
        """Nothing is decoded ahead."""


@functools.cache
def tokenizer():
    return omni.student().tokenizer


def folder(hidden: int, layers: int) -> Path:
    """Of a model, made once: TRL loads the reference from there."""
    found = Path(ROOT.name) / f"{hidden}-{layers}"
    if not found.exists():
        torch.manual_seed(7)
        config = Qwen2Config(
            vocab_size=len(tokenizer()), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=4,
            num_key_value_heads=4, intermediate_size=4 * hidden, tie_word_embeddings=True,
            pad_token_id=tokenizer().pad_token_id, eos_token_id=tokenizer().eos_token_id, bos_token_id=None,
        )  # fmt: skip
        Qwen2ForCausalLM(config).save_pretrained(found)
    return found


def loaded(place: Path):
    if "omni" in json.loads((place / "config.json").read_text())["model_type"]:
        return load(link_with_thinker_class(place, Path(ROOT.name) / "thinker")).model
    return AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)


def by_spread(completions, **_):
    """Rewards that differ within a group."""
    return [len(set(text)) / 20 for text in completions]


def config(out: Path, **arguments) -> GRPOConfig:
    return GRPOConfig(
        **{
            "output_dir": str(out), "per_device_train_batch_size": 8, "num_generations": 4, "beta": 0.1,
            "steps_per_generation": 1, "max_completion_length": 8, "bf16": False, "use_cpu": True, "report_to": [],
            "activation_checkpointing": False, "remove_unused_columns": False, "loss_type": "grpo", "seed": 11,
            "dataloader_pin_memory": False, "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1,
            "learning_rate": 1e-3, "max_steps": 20, **arguments,
        }
    )  # fmt: skip


def trainer(out: Path, kind=GRPOTrainer, student=None, rewards=by_spread, extra=None, **arguments):
    """TRL's trainer, or one of ours, on the same model, prompts and seed. `extra` is told to ours only."""
    return kind(
        **(extra or {}),
        model=loaded(student or folder(32, 2)),
        processing_class=tokenizer(),
        reward_funcs=[rewards],
        train_dataset=Dataset.from_dict({"prompt": PROMPTS}),
        args=config(out, **arguments),
    )


def ours(**hint) -> dict:
    """What our trainers are told beside TRL's; with fields of `hint`, those of the one with hints."""
    given = {"reader": TextReader(tokenizer())}
    if hint:
        given["on_rollouts"] = lambda step, rollouts: None
        given["policy"] = HintPolicy(
            spec=Hint.model_validate(hint),
            hint=lambda prompt: HINT,
            facts=lambda prompt, answer: AnswerFacts(0.0, 0.0, math.nan),
            polarity=lambda prompt: "neutral",
            seed=0,
        )
    return given


def trained(made) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses of all steps, and the weights after them."""
    made.train()
    losses = [row["loss"] for row in made.state.log_history if "loss" in row]
    return losses, dict(made.model.state_dict())
