"""A small GRPO trainer without hints, and the stage `grpo` on the toy data."""

from __future__ import annotations

import dataclasses

import torch
from datasets import Dataset

from c2f_spec.spec.handoff import VllmPlace
from c2f_spec.spec.sections import Full
from runtime.generation.vllm_requests import Sampling
from runtime.generation.vllm_rollout import PolicyOnVllm
from runtime.models.rows import Reader
from runtime.models.thinker import load, suppressed_tokens
from runtime.stages import grpo
from runtime.training.grpo_trainer import GRPOConfig, OmniGRPOTrainer
from runtime.training.tuner import adapters
from tests.support import omni

CLIPS = ["toy-00", "toy-00", "toy-01", "toy-01"]


GREEDY = Sampling(max_tokens=6, temperature=0.0, top_p=1.0, top_k=0)


def engine(folder, sampling=None):
    """VLLM for a trainer; `fake_vllm.installed` comes first."""
    return lambda trainer: PolicyOnVllm(
        model=trainer.model, accelerator=trainer.accelerator, processor=trainer.processing_class,
        place=VllmPlace(memory=0.3), sampling=sampling or GREEDY, longest=512, rows=4, folder=folder,
    )  # fmt: skip


def by_length(completions, **_):
    return [len(text) / 10 for text in completions]


def config(folder, **arguments):
    """Two answers a clip, two clips a generation."""
    tokenizer = omni.student().tokenizer
    return GRPOConfig(
        **{
            "output_dir": str(folder), "per_device_train_batch_size": 4, "num_generations": 2, "beta": 0.1,
            "steps_per_generation": 1, "max_completion_length": 6, "bf16": False, "use_cpu": True, "report_to": [],
            "activation_checkpointing": False, "remove_unused_columns": False, "loss_type": "grpo", "seed": 1,
            "generation_kwargs": {"suppress_tokens": suppressed_tokens(tokenizer)}, "dataloader_pin_memory": False,
            "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1, **arguments,
        }
    )  # fmt: skip


def make(
    folder,
    *,
    rewards=None,
    tuner=None,
    reference=None,
    normalise=None,
    longest=None,
    engine=None,
    start=None,
    **arguments,
):
    """A trainer on a student of its own, by default the tuned one."""
    student = load(start or omni.tuned() / "model")
    trainer = OmniGRPOTrainer(
        reader=Reader(omni.prepared(), student.processor, omni.FMT, omni.MEDIA),
        normalise=normalise,
        reference=reference,
        longest_prompt=longest,
        engine=engine,
        model=student.model,
        processing_class=student.processor,
        reward_funcs=rewards or [by_length],
        train_dataset=Dataset.from_dict({"prompt": ["toy-00", "toy-01"]}),
        peft_config=adapters(tuner or Full(), student.model),
        args=config(folder, **arguments),
    )
    trainer.current_gradient_accumulation_steps = 1  # what `train` sets; tests call its parts
    return trainer


def generated(trainer):
    torch.manual_seed(0)
    trainer.model.train()
    return trainer._generate_and_score_completions([{"prompt": clip} for clip in CLIPS])


def sequences(output):
    """Return the tokens of prompts with their answers, and their mask: (B, prompt + answer) each."""
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    return ids, mask


def log_probabilities(trainer, output, *models):
    """Return for each model the log-probabilities of the answers' tokens: (B, answer)."""
    trainer.rows = [trainer.reader.row(clip) for clip in output["clips"]]
    width = output["completion_ids"].shape[1]
    with torch.no_grad():
        return [
            trainer._get_per_token_logps_and_entropies(model, *sequences(output), width)[0]
            for model in models
        ]


class OtherMedia(Reader):
    """Reads the clips of another reader, with one kind of their media negated."""

    def __init__(self, reader, name):
        self.__dict__.update(reader.__dict__)
        self._rows, self.name = reader._rows.copy(), name

    def row(self, clip_id):
        row = super().row(clip_id)
        return dataclasses.replace(row, media={**row.media, self.name: -row.media[self.name]})


def run(folder, **section):
    """The stage with `section` for `grpo`, and its context."""
    usual = {"steps": 1, "batch": 2, "generations": 2, "learning_rate": 1e-3, "max_new_tokens": 6,
             "hint": {"hard_policy": "keep"}}  # fmt: skip
    ctx = omni.grpo_context(folder, grpo={**usual, **section})
    return grpo.run(ctx), ctx
