"""A trainer of two clips, two answers each, whose first clip is hard."""

from __future__ import annotations

import torch
from datasets import Dataset

from c2f_spec.spec.grpo import Grpo
from c2f_spec.spec.sections import Full
from runtime.models.rows import Reader
from runtime.models.thinker import load, suppressed_tokens
from runtime.training.grpo_trainer import GRPOConfig
from runtime.training.hints.build_policy import build_policy
from runtime.training.hints.trainer import HintGRPOTrainer
from runtime.training.tuner import adapters
from tests.support import omni

HINT = "<polarity>Negative</polarity>\n\n"
CLIPS = ["toy-00", "toy-00", "toy-01", "toy-01"]
INPUTS = [{"prompt": clip} for clip in CLIPS]


def make(tmp_path, policy="keep", rewards=None, threshold=0.5, tuner=None, hints=None, **arguments):
    """A trainer of two clips, two answers each, on a student of its own; `hints` are further fields of the policy."""
    student = load(omni.tuned() / "model")
    sampled = []
    reader = Reader(omni.prepared(), student.processor, omni.FMT, omni.MEDIA)
    hint = {"hard_policy": policy, "trigger": {"kind": "all_below", "threshold": threshold}, **(hints or {})}
    section = Grpo.model_validate({"batch": 2, "generations": 2, "hint": hint})
    trainer = HintGRPOTrainer(
        reader=reader,
        policy=build_policy(section, omni.FMT, reader, student.tokenizer, 1, frozenset()),
        on_rollouts=lambda step, rollouts: sampled.append((step, rollouts)),
        model=student.model,
        processing_class=student.processor,
        reward_funcs=rewards or [length_of_second_clip],
        train_dataset=Dataset.from_dict({"prompt": ["toy-00", "toy-01"]}),
        peft_config=adapters(tuner or Full(), student.model),
        args=GRPOConfig(
            **{
                "output_dir": str(tmp_path), "per_device_train_batch_size": 4, "num_generations": 2, "beta": 0.1,
                "steps_per_generation": 1, "max_completion_length": 6, "bf16": False, "use_cpu": True, "report_to": [],
                "activation_checkpointing": False, "remove_unused_columns": False, "loss_type": "grpo", "seed": 1,
                "generation_kwargs": {"suppress_tokens": suppressed_tokens(student.tokenizer)}, "dataloader_pin_memory": False,
                "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1, **arguments,
            }
        ),
    )  # fmt: skip
    trainer.sampled = sampled
    trainer.current_gradient_accumulation_steps = 1  # what `train` sets; these tests call its parts
    return trainer


def length_of_second_clip(prompts, completions, **_):
    """The first clip is always hard; the second is rewarded by what was written, in 128ths: means of float32 are exact."""
    return [
        0.0 if clip == "toy-00" else 1.0 + len(text) / 128
        for clip, text in zip(prompts, completions, strict=True)
    ]


def generated(trainer):
    torch.manual_seed(0)
    trainer.model.train()
    return trainer._generate_and_score_completions([dict(each) for each in INPUTS])


def decoded(trainer, output):
    lengths = output["completion_mask"].sum(dim=1).tolist()
    ids = [row[:n].tolist() for row, n in zip(output["completion_ids"], lengths, strict=True)]
    return trainer.processing_class.batch_decode(ids, skip_special_tokens=True)
