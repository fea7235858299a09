"""From fields of the spec to what both trainers are given: schedules, accumulation, precision, the end of memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from c2f_spec.errors import OutOfMemory, StageSpecWrong

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
"""Decay in the spec -> its name in transformers; all begin with the warm-up."""


def split_batch(batch: int, world: int, most: int) -> tuple[int, int]:
    """Rows of a device in one pass, at most `most`, and passes accumulated, so that together they are `batch`."""
    if batch % world:
        raise StageSpecWrong(
            f"a batch of {batch} rows cannot be shared by {world} processes",
            hint="make `batch` a multiple of it",
        )
    share = batch // world
    rows = max(n for n in range(1, min(share, most) + 1) if share % n == 0)
    return rows, share // rows


def warmup_steps(share: float) -> float:
    """What transformers is told: below 1 it takes a share of the steps, from 1 on a number of them."""
    return min(share, 1 - 1e-9)


def on_gpu() -> bool:
    """On a GPU: bfloat16 and gradient checkpointing (METHOD 8.2). On a CPU: float32 and neither."""
    return torch.cuda.is_available()


@contextmanager
def memory(section: Literal["sft", "grpo", "evaluate"]) -> Iterator[None]:
    """Out of memory on the device -> `OutOfMemory`, naming the fields that cost it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        fields = {
            "sft": "`resources.sft.micro_batch`, `sft.tuner` (lora)",
            "grpo": "`resources.grpo.micro_batch`, `grpo.max_new_tokens`, `grpo.tuner` (lora)",
            "evaluate": "`evaluate.decoding.max_new_tokens`",
        }
        raise OutOfMemory(
            f"the device ran out of memory: {str(error).splitlines()[0]}",
            hint=f"lower `media.max_pixels` or `media.max_frames`, or change {fields[section]}",
        ) from error
