"""Translate fields of the spec into arguments of both trainers: schedules, accumulation, precision, ZeRO, out of memory.

ZeRO spreads a training step over processes. DeepSpeed's JSON is generated, and each of its values has one source:
`resources.<stage>.zero` and `.micro_batch`, `<stage>.batch` and `.grad_clip`, the student's precision and width. Nothing is
offloaded: that would trade the host's memory and time for a stage that the plan refuses as too large (METHOD 8.4).

    2   gradients and the optimiser's state are spread; every process has all weights
    3   weights too: a layer is gathered when it is used

Optimiser and schedule are those of training without ZeRO, torch's AdamW and transformers' schedule, so that spreading
changes memory and not the update. `runtime.checkpoints.zero_partitions` saves each process's part.
"""

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
    from runtime.models.thinker import Student
    from runtime.process.context import Context
    from runtime.text.clips import Clip


SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
"""Names of schedules in transformers, by the spec's; all begin with the warm-up."""


def split_batch(batch: int, world: int, most: int) -> tuple[int, int]:
    """Return the rows of a device in one pass, at most `most`, and the passes to accumulate, which together make `batch`."""
    if batch % world:
        raise InvalidStageSpec(
            f"a batch of {batch} rows is not a multiple of {world} processes",
            hint=f"set `batch` to a multiple of {world}",
        )
    share = batch // world
    rows = max(n for n in range(1, min(share, most) + 1) if share % n == 0)
    return rows, share // rows


def trainer_arguments(
    ctx: Context, section: Sft | Grpo, student: Student, *, rows: int, passes: int, half: bool
) -> dict[str, Any]:
    """Return arguments of transformers' trainer. A process has `rows` in one pass and accumulates `passes`; `half` is bfloat16."""
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
        "deepspeed": zero_config(
            ctx.stage.placement.zero_stage(ctx.world),
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
        "remove_unused_columns": False,  # a row is a clip id, which the reader resolves
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would hide a divergence
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def warmup_steps(share: float) -> float:
    """Return transformers' `warmup_steps`: below 1 a share of the steps, from 1 on a number of steps."""
    return min(share, 1 - 1e-9)


def on_gpu() -> bool:
    """Return whether training is on a GPU, with gradient checkpointing (METHOD 8.2)."""
    return torch.cuda.is_available()


@contextmanager
def report_out_of_memory(kind: str) -> Iterator[None]:
    """Turn torch's out-of-memory error into `OutOfMemory` with a hint on the fields that need memory."""
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
            hint=f"lower `media.max_pixels` or `media.max_frames`, or change {fields[kind]}",
        ) from error


BUCKET = 50_000_000
"""Elements of gradients that are reduced at once, and of weights that are gathered: 100 MB in bfloat16."""


def zero_config(zero: Zero, **sizes: Any) -> dict[str, Any] | None:
    """Return `deepspeed_config`, `None` without ZeRO; called by all ranks before a trainer's arguments are made."""
    if zero == "off":
        return None
    config = deepspeed_config(zero, **sizes)
    _init_process_group()
    return config


def assert_towers_on_all_ranks(zero: Zero, kind: str, clips: Iterable[Clip], *, towers_trained: bool) -> None:
    """Raise `InvalidStageSpec` for a clip without sound or video where every process must use every tower in every pass.

    Else processes wait for ever: under ZeRO 3 to gather a tower's weights, under ZeRO 2 to reduce its gradients.
    """
    if zero == "off" or (zero == "2" and not towers_trained):
        return
    lacking = next((clip for clip in clips if clip.split == "train" and clip.lacks), None)
    if lacking is not None:
        remedy = "off" if towers_trained else "2"
        raise InvalidStageSpec(
            f"clip `{lacking.id}` has no {lacking.lacks[0]}, and under ZeRO {zero} every process must use every tower",
            hint=f"set `resources.{kind}.zero: {remedy}`",
        )


def deepspeed_config(
    zero: Literal["2", "3"], *, rows: int, passes: int, world: int, grad_clip: float, bf16: bool, hidden: int
) -> dict[str, Any]:
    """Return DeepSpeed's JSON. A process has `rows` in one pass and accumulates `passes`; `hidden` is the width of the text model.

    Raises `InvalidStageSpec` where DeepSpeed is not installed.
    """
    if find_spec("deepspeed") is None:
        raise InvalidStageSpec(
            f"ZeRO {zero} needs the package `deepspeed`, which is not installed here",
            hint="run `pip install 'c2f-spec[deepspeed]'`, or set `resources.<stage>.zero: off`",
        )
    return {
        "train_batch_size": rows * passes * world,
        "train_micro_batch_size_per_gpu": rows,
        "gradient_accumulation_steps": passes,
        "gradient_clipping": grad_clip,
        "bf16": {"enabled": bf16},
        "zero_allow_untested_optimizer": True,  # for torch's AdamW, which is not DeepSpeed's own
        "zero_optimization": {
            "stage": int(zero),
            "offload_optimizer": {"device": "none"},
            "overlap_comm": True,
            "contiguous_gradients": True,
            "reduce_scatter": True,
            "reduce_bucket_size": BUCKET,
            **(_zero3_options(hidden) if zero == "3" else {"allgather_bucket_size": BUCKET}),
        },
    }


def _zero3_options(hidden: int) -> dict[str, Any]:
    """Return the options of stage 3: how much is gathered ahead, and what is too small to be spread, as transformers sizes both."""
    return {
        "offload_param": {"device": "none"},
        "stage3_prefetch_bucket_size": hidden * hidden * 9 // 10,
        "stage3_param_persistence_threshold": 10 * hidden,
        "stage3_gather_16bit_weights_on_model_save": False,  # `runtime.training.tuner` gathers and checks every weight
    }


def _init_process_group() -> None:
    """Initialise DeepSpeed's process group.

    On a GPU accelerate does it. On a CPU it leaves that to the first engine, but loading a model under ZeRO 3, as TRL
    loads the reference, needs the number of processes before.
    """
    # DeepSpeed 0.19.8 calls collectives by names that torch 2.13 deprecates, once a layer.
    warnings.filterwarnings(
        "ignore", message=r".*torch\.distributed\..* is deprecated", category=FutureWarning
    )
    import torch.cuda

    if not torch.cuda.is_available():
        import deepspeed

        deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False, verbose=False)
