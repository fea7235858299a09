"""ZeRO: what of a training step is spread over processes, as DeepSpeed is told it.

The JSON is generated, and each of its values has one source: `resources.<stage>.zero` and `.micro_batch`,
`<stage>.batch` and `.grad_clip`, the student's precision and width. Nothing is offloaded: that would trade the host's
memory and time for a stage that the plan refuses as too large (METHOD 8.4).

    2   gradients and the optimiser's state are spread; every process has all weights
    3   weights too: a layer is gathered when it is used

Optimiser and schedule are those of training without ZeRO, torch's AdamW and transformers' schedule, so that spreading
changes memory and not the update. `runtime.checkpoints.parts` saves what each process has of it.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.errors import StageSpecWrong

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.spec.place import Zero
    from runtime.clips import Clip

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

    Raises `StageSpecWrong`.
    """
    if zero == "off" or (zero == "2" and not towers_trained):
        return
    lacking = next((clip for clip in clips if clip.split == "train" and clip.lacks), None)
    if lacking is not None:
        way_out = "off" if towers_trained else "2"
        raise StageSpecWrong(
            f"clip `{lacking.id}` has no {lacking.lacks[0]}, and under ZeRO {zero} no process may leave a tower out",
            hint=f"set `resources.{kind}.zero: {way_out}`",
        )


def deepspeed_config(
    zero: Literal["2", "3"], *, rows: int, passes: int, world: int, grad_clip: float, bf16: bool, hidden: int
) -> dict[str, Any]:
    """DeepSpeed's JSON. A process has `rows` in one pass and accumulates `passes`; `hidden` is the width of the text model.

    Raises `StageSpecWrong` where DeepSpeed is not installed.
    """
    if find_spec("deepspeed") is None:
        raise StageSpecWrong(
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
        "stage3_gather_16bit_weights_on_model_save": False,  # `runtime.training.result` gathers and looks at every one
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
