"""What a step of GRPO costs: against TRL's own, with hints, and against a trainer that processes every row.

Steps of both trainers alternate in one process on one thread, from the same weights and the same seed, so that both
write the same answers; a step is what TRL's loop does in one: answers, rewards, scores, gradients, the optimizer.
"""

from __future__ import annotations

import gc
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset

from c2f_spec.spec.sections import Media, Tiny
from runtime.models import MODELS
from runtime.models.rows import Reader
from runtime.models.thinker import freeze, load, save, suppressed_tokens
from runtime.training.grpo_trainer import GRPOTrainer
from runtime.training.hints.trainer import HintGRPOTrainer
from tests.bench.every_row import EveryRowTrainer
from tests.bench.paired import Ratio, paired
from tests.support import omni, text_policy

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = 20
LARGE = (768, 11)
"""Width and layers of the text model: 104 million weights."""
GROUPS = 4
SHARES = (0.25, 0.5, 1.0)
NEVER = {"trigger": {"kind": "all_below", "threshold": 0.0}}
"""Hints for groups whose rewards are negative, which those of `hard` are and no others."""


class Steps:
    """A trainer, a step at a time."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        trainer.create_optimizer()
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        self._prompts = list(trainer.train_dataset["prompt"])

    def __call__(self, n: int) -> None:
        torch.manual_seed(n)
        first = n * GROUPS % len(self._prompts)
        chosen = self._prompts[first : first + GROUPS]
        batch = [{"prompt": prompt} for prompt in chosen for _ in range(self.trainer.num_generations)]
        self.trainer.training_step(self.trainer.model, batch, None)
        torch.nn.utils.clip_grad_norm_(self.trainer.model.parameters(), 1.0)
        self.trainer.optimizer.step()
        self.trainer.model.zero_grad()


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        small = tiny(Path(name))
        for words, place in (
            ("tiny omni model", small),
            ("text model of 104 M weights", text_policy.folder(*LARGE)),
        ):
            report(f"{words}, text: hints never triggered, to TRL's step, at most 1.03", never(place))
        for frozen in (False, True):
            ratio = paired(
                media(small, EveryRowTrainer, frozen=frozen),
                media(small, HintGRPOTrainer, frozen=frozen),
                PAIRS,
            )
            towers = "frozen" if frozen else "trained"
            report(
                f"tiny omni model, media, towers {towers}: every row processed, to ours, at least 1.5", ratio
            )
        for share in SHARES:
            report(
                f"tiny omni model, media: {describe_goal(share)}",
                paired(*some_and_none(media, small, share), PAIRS),
            )
        large, least = text_policy.folder(*LARGE), SHARES[0]
        for make, share, words in (
            (text, least, "2 answers a group"),
            (text, SHARES[-1], "2 answers a group"),
            (partial(text, answers=4), least, "4 answers a group, as in the paper"),
        ):
            report(
                f"text model of 104 M weights, {words}: {describe_goal(share)}",
                paired(*some_and_none(make, large, share), PAIRS),
            )
        known = {"trigger": {"kind": "always"}, "max_hinted_fraction": least}
        report(
            f"text model of 104 M weights, 2 answers a group, hard groups known beforehand: {describe_goal(least)}",
            paired(*some_and_none(text, large, least, known), PAIRS),
        )


def describe_goal(share: float) -> str:
    return f"{share:.0%} of the groups hinted, to none, at most {(1 + share) * 1.05:.3f}"


def some_and_none(
    make: Callable[..., Steps], place: Path, share: float, some: dict[str, Any] = NEVER
) -> list[Steps]:
    """Steps of trainers that answer the same hard prompts with hints, and without."""
    return [make(place, HintGRPOTrainer, share, **hint) for hint in (some, {"hard_policy": "keep"})]


def report(what: str, ratio: Ratio) -> None:
    print(f"{what}\n    {ratio}", flush=True)
    gc.collect()


def tiny(folder: Path) -> Path:
    """The demonstration's student, saved."""
    save(MODELS["tiny"].base(Tiny(kind="tiny"), 0, None), folder / "tiny")
    return folder / "tiny"


def never(place: Path) -> Ratio:
    return paired(text(place, HintGRPOTrainer, **NEVER), text(place, GRPOTrainer), PAIRS)


def text(place: Path, kind: Any, share: float = 0.0, *, answers: int = 0, **hint: Any) -> Steps:
    """On prompts without media, with so many `answers` a group."""
    extra = text_policy.ours(**hint) if hint else {}
    usual, length = (4, 48) if place.name == "tiny" else (2, 24)
    answers = answers or usual
    size = {
        "num_generations": answers,
        "per_device_train_batch_size": GROUPS * answers,
        "max_completion_length": length,
    }
    rewards = hard(text_policy.PROMPTS, share)
    return Steps(
        text_policy.trainer(place.parent / "out", kind, student=place, rewards=rewards, extra=extra, **size)
    )


def media(place: Path, kind: Any, share: float = 0.0, *, frozen: bool = False, **hint: Any) -> Steps:
    """On clips with sound and video."""
    student = load(place)
    if frozen:
        freeze(student.model, ("model.visual.", "model.audio_tower."))
    reader = Reader(omni.prepared(), student.processor, omni.FMT, Media())
    clips = reader.ids("train")
    extra = {**text_policy.ours(**(hint or NEVER)), "reader": reader}
    if kind is EveryRowTrainer:
        extra = {"read": lambda clip: reader._read(reader.clips[clip])}  # nothing is kept
    made = kind(
        **extra,
        model=student.model,
        processing_class=student.processor,
        reward_funcs=[hard(clips, share)],
        train_dataset=Dataset.from_dict({"prompt": clips}),
        args=text_policy.config(
            place.parent / "out",
            per_device_train_batch_size=GROUPS * 4,
            max_completion_length=48,
            generation_kwargs={"suppress_tokens": suppressed_tokens(student.tokenizer)},
        ),
    )
    return Steps(made)


def hard(prompts: list[str], share: float) -> Any:
    """A reward that finds this share of the groups of every batch hard."""
    always = {prompt for i, prompt in enumerate(prompts) if i % GROUPS < share * GROUPS}

    def rewarded(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        rewards = text_policy.by_spread(completions)
        return [reward - 9 * (prompt in always) for prompt, reward in zip(prompts, rewards, strict=True)]

    return rewarded
