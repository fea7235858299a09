"""A trainer with a policy of hints: two clips, four answers each; and groups of answers as their rewards, without one."""

from __future__ import annotations

import hashlib

import torch
from datasets import Dataset

from c2f_spec.spec.grpo import Grpo
from c2f_spec.spec.sections import Full
from runtime.models.rows import Reader
from runtime.models.thinker import load
from runtime.training.hints.answer_metrics import GroupResults
from runtime.training.hints.build_policy import build_policy
from runtime.training.hints.trainer import HintGRPOTrainer
from runtime.training.tuner import adapters
from tests.support import omni
from tests.support.omni_grpo import config

CLIPS = ["toy-00"] * 4 + ["toy-01"] * 4
TWO = {"kind": "all_below", "threshold": 2.0}


def make(folder, *, rewards, hint, student=None, engine=None, tuner=None, **arguments):
    student = load((student or omni.tuned()) / "model")
    reader = Reader(omni.prepared(), student.processor, omni.FMT, omni.MEDIA)
    trainer = HintGRPOTrainer(
        reader=reader,
        policy=policy(hint, reader, student.tokenizer),
        on_rollouts=lambda _, rollouts: trainer.sampled.append(rollouts),
        engine=engine,
        model=student.model,
        processing_class=student.processor,
        reward_funcs=rewards,
        train_dataset=Dataset.from_dict({"prompt": ["toy-00", "toy-01"]}),
        peft_config=adapters(tuner or Full(), student.model),
        args=config(folder, **{"per_device_train_batch_size": 8, "num_generations": 4, **arguments}),
    )
    trainer.sampled = []
    trainer.current_gradient_accumulation_steps = 1  # what `train` sets; tests call its parts
    return trainer


def policy(hint, reader, tokenizer):
    section = Grpo.model_validate({"batch": 2, "hint": {"trigger": TWO, **hint}})
    return build_policy(section, omni.FMT, reader, tokenizer, 1, frozenset())


def generated(trainer, seed=0):
    torch.manual_seed(seed)
    trainer.model.train()
    trainer.sampled.clear()
    return trainer._generate_and_score_completions([{"prompt": clip} for clip in CLIPS])


def drawn(name, salt, values):
    """A reward by that name, drawn from `values` by the clip and the text, so that it can be computed again."""

    def reward(prompts, completions, **_):
        return [
            values[_digest(name, salt, c, t) % len(values)] for c, t in zip(prompts, completions, strict=True)
        ]

    reward.__name__ = name
    return reward


def _digest(*words):
    return int.from_bytes(hashlib.blake2b("|".join(map(str, words)).encode(), digest_size=4).digest(), "big")


def texts(trainer, output):
    lengths = output["completion_mask"].sum(dim=1).tolist()
    ids = [row[:n].tolist() for row, n in zip(output["completion_ids"], lengths, strict=True)]
    return trainer.processing_class.batch_decode(ids, skip_special_tokens=True)


def shaken(trainer):
    """Away from the reference, so that the KL divergence is not nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return trainer


NAMES = ("format", "polarity", "score")


def judged(*answers, agrees=1.0):
    """Groups of answers, each as its three rewards."""
    rewards = torch.tensor(answers)
    facts = torch.cat(
        [rewards[:, :, :2], torch.full_like(rewards[:, :, :1], agrees), torch.ones_like(rewards[:, :, :2])],
        dim=2,
    )
    flat = rewards.flatten(0, 1), facts.flatten(0, 1)
    return GroupResults.from_answers(*flat, torch.ones(3), NAMES, rewards.shape[1])


WRONG, RIGHT, BROKEN, POOR = (1.0, 0.0, 0.0), (1.0, 1.0, 0.8), (0.0, 1.0, 0.7), (1.0, 1.0, 0.1)
