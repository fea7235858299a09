"""From fields of the spec to what both trainers are given alike: schedules, accumulation, precision, the end of memory."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from c2f_spec.errors import OutOfMemory, StageSpecWrong
from runtime.training.zero import spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.sections import Sft
    from runtime.context import Context
    from runtime.models.student import Student

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


def shared(
    ctx: Context, section: Sft | Grpo, student: Student, *, rows: int, passes: int, half: bool
) -> dict[str, Any]:
    """Arguments of transformers' trainer. A process has `rows` in one pass and accumulates `passes`; `half` is bfloat16."""
    return {
        "output_dir": str(Path(ctx.stage.scratch) / "trainer"),
        "num_train_epochs": section.epochs,
        "max_steps": section.steps or -1,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": passes,
        "learning_rate": section.learning_rate,
        "lr_scheduler_type": SCHEDULES[section.schedule],
        "warmup_steps": warmup_steps(section.warmup),
        "weight_decay": section.weight_decay,
        "max_grad_norm": section.grad_clip,
        "bf16": half,
        "use_cpu": not on_gpu(),
        "deepspeed": spread(
            ctx.stage.placement.spread(ctx.world),
            rows=rows,
            passes=passes,
            world=ctx.world,
            grad_clip=section.grad_clip,
            bf16=half,
            hidden=student.model.config.get_text_config().hidden_size,
        ),
        "activation_checkpointing": on_gpu(),
        "dataloader_pin_memory": on_gpu(),
        "seed": ctx.seed,
        "remove_unused_columns": False,  # rows are an id, and what the reader finds under it
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would hide a divergence
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


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
