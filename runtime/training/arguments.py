"""From fields of the spec to what both trainers are given alike: schedules, accumulation, precision, the end of memory."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from c2f_spec.errors import InvalidStageSpec, OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from c2f_spec.spec.grpo import Grpo
    from c2f_spec.spec.resources import Zero
    from c2f_spec.spec.sections import Sft
    from runtime.models.student import Student
    from runtime.process.context import Context
    from runtime.text.clips import Clip


SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
"""Decay in the spec -> its name in transformers; all begin with the warm-up."""


def split_batch(batch: int, world: int, most: int) -> tuple[int, int]:
    """Rows of a device in one pass, at most `most`, and passes accumulated, so that together they are `batch`."""
    if batch % world:
        raise InvalidStageSpec(
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


# ZeRO: what of a training step is spread over processes, as DeepSpeed is told it.
#
# The JSON is generated, and each of its values has one source: `resources.<stage>.zero` and `.micro_batch`,
# `<stage>.batch` and `.grad_clip`, the student's precision and width. Nothing is offloaded: that would trade the host's
# memory and time for a stage that the plan refuses as too large (METHOD 8.4).
#
#     2   gradients and the optimiser's state are spread; every process has all weights
#     3   weights too: a layer is gathered when it is used
#
# Optimiser and schedule are those of training without ZeRO, torch's AdamW and transformers' schedule, so that spreading
# changes memory and not the update. `runtime.checkpoints.zero_partitions` saves what each process has of it.


BUCKET = 50_000_000
"""Elements of gradients that are reduced, and of weights that are gathered after a step, at once: 100 MB in bfloat16, and twice that of gradients."""


def spread(
    zero: Zero, *, rows: int, passes: int, world: int, grad_clip: float, bf16: bool, hidden: int
) -> dict[str, Any] | None:
    """What a trainer's arguments are given; called by all ranks before those are made."""
    if zero == "off":
        return None
    config = deepspeed_config(
        zero, rows=rows, passes=passes, world=world, grad_clip=grad_clip, bf16=bf16, hidden=hidden
    )
    _join()
    return config


def assert_alike(zero: Zero, kind: str, clips: Iterable[Clip], *, towers_trained: bool) -> None:
    """Every process must use the same weights in every pass, or those that wait for it wait for ever: under ZeRO 3 to
    gather a tower's weights, under ZeRO 2 to reduce its gradients. A clip without sound or picture leaves a tower out.

    Raises `InvalidStageSpec`.
    """
    if zero == "off" or (zero == "2" and not towers_trained):
        return
    lacking = next((clip for clip in clips if clip.split == "train" and clip.lacks), None)
    if lacking is not None:
        way_out = "off" if towers_trained else "2"
        raise InvalidStageSpec(
            f"clip `{lacking.id}` has no {lacking.lacks[0]}, and under ZeRO {zero} no process may leave a tower out",
            hint=f"set `resources.{kind}.zero: {way_out}`",
        )


def deepspeed_config(
    zero: Literal["2", "3"], *, rows: int, passes: int, world: int, grad_clip: float, bf16: bool, hidden: int
) -> dict[str, Any]:
    """DeepSpeed's JSON. A process has `rows` in one pass and accumulates `passes`; `hidden` is the width of the text model.

    Raises `InvalidStageSpec` where DeepSpeed is not installed.
    """
    if find_spec("deepspeed") is None:
        raise InvalidStageSpec(
            f"ZeRO {zero} needs the package `deepspeed`, which is not installed here",
            hint="`pip install 'c2f-spec[deepspeed]'`, or set `resources.<stage>.zero: off`",
        )
    return {
        "train_batch_size": rows * passes * world,
        "train_micro_batch_size_per_gpu": rows,
        "gradient_accumulation_steps": passes,
        "gradient_clipping": grad_clip,
        "bf16": {"enabled": bf16},
        "zero_allow_untested_optimizer": True,  # DeepSpeed means torch's AdamW, which is not its own
        "zero_optimization": {
            "stage": int(zero),
            "offload_optimizer": {"device": "none"},
            "overlap_comm": True,
            "contiguous_gradients": True,
            "reduce_scatter": True,
            "reduce_bucket_size": BUCKET,
            **(_of_weights(hidden) if zero == "3" else {"allgather_bucket_size": BUCKET}),
        },
    }


def _of_weights(hidden: int) -> dict[str, Any]:
    """Of stage 3: how much is gathered ahead, and what is too small to be spread (as transformers sizes both)."""
    return {
        "offload_param": {"device": "none"},
        "stage3_prefetch_bucket_size": hidden * hidden * 9 // 10,
        "stage3_param_persistence_threshold": 10 * hidden,
        "stage3_gather_16bit_weights_on_model_save": False,  # `runtime.training.tuner` gathers and looks at every one
    }


def _join() -> None:
    """Bring DeepSpeed into the group of processes.

    On a GPU accelerate does it. On a CPU it leaves that to the first engine, and loading a model under ZeRO 3, as TRL
    does with the reference, asks before that how many processes there are.
    """
    # DeepSpeed 0.19.8 calls collectives by names that torch 2.13 deprecates, once a layer.
    warnings.filterwarnings(
        "ignore", message=r".*torch\.distributed\..* is deprecated", category=FutureWarning
    )
    import torch.cuda

    if not torch.cuda.is_available():
        import deepspeed

        deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False, verbose=False)
