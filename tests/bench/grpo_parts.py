"""What a step of GRPO is made of, in CPU seconds: prompts read, tokens written one by one, scores, gradients.

The steps of `python -m tests.bench grpo`, of the trainer with hints: none of the groups hinted, a quarter with a
generation of their own, and a quarter whose hinted answers are drawn beside the first ones.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from runtime.training.hints import schedule
from runtime.training.hints.trainer import HintGRPOTrainer
from tests.bench.grpo import LARGE, NEVER, SHARES, Steps, media, text, tiny
from tests.support import text_policy

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 4
ROUNDS = (
    ("none hinted", 0.0, 8),
    ("a generation of its own", SHARES[0], 0),
    ("drawn beside", SHARES[0], 10**6),
)
"""Words, share of groups hinted, and the rows that a generation of its own is held to be worth."""


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for words, make, place in (
            ("tiny omni model, media", media, tiny(Path(name))),
            ("text model of 104 M weights", text, text_policy.folder(*LARGE)),
        ):
            for how, share, alone in ROUNDS:
                schedule.BREAK_EVEN_ROWS["cpu"] = alone
                print_parts(f"{words}: {how}", make(place, HintGRPOTrainer, share, **NEVER))


def print_parts(words: str, steps: Steps) -> None:
    """Parts of a step, mean of `STEPS`; the first is not counted."""
    seconds: dict[str, float] = defaultdict(float)
    trainer = steps.trainer
    whole = measured(steps, lambda _: "whole", seconds)
    trainer.model.forward = measured(trainer.model.forward, pass_of, seconds)
    trainer.ref_model.forward = measured(trainer.ref_model.forward, lambda _: "reference", seconds)
    trainer.accelerator.backward = measured(trainer.accelerator.backward, lambda _: "backward", seconds)
    trainer.optimizer.step = measured(trainer.optimizer.step, lambda _: "optimizer", seconds)
    whole(0)
    seconds.clear()
    for n in range(1, 1 + STEPS):
        whole(n)
    total = seconds.pop("whole")
    seconds["the rest"] = total - sum(seconds.values())
    parts = ", ".join(f"{part} {spent / STEPS:.3f}" for part, spent in seconds.items())
    print(f"{words}, {total / STEPS:.3f} s a step\n    {parts}", flush=True)


def pass_of(named: dict[str, Any]) -> str:
    """Which pass of the policy it is, by what it is given."""
    if torch.is_grad_enabled():
        return "forward"
    return "tokens one by one" if named["input_ids"].shape[1] == 1 else "prompts"


def measured(
    function: Callable[..., Any], part: Callable[[dict[str, Any]], str], seconds: dict[str, float]
) -> Callable[..., Any]:
    """`function`, whose CPU seconds are added to those of its part."""

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        result = function(*arguments, **named)
        seconds[part(named)] += time.process_time() - began
        return result

    return run
