"""Train all weights that the student's kind does not freeze, or low-rank adapters; and save the result.

Adapters are merged into the model before it is saved, inside the stage that trained them. A stage of its own would have
to fetch the base and the adapters again for a few seconds of work, and its output is what every consumer reads anyway:
the reference of GRPO is then the fine-tuned model, as METHOD 1.7 demands, because adapters that are switched off leave
exactly the merged model that GRPO started from.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from c2f_spec.spec.sections import Full, Lora
from runtime.checkpoints.zero_partitions import full_shape
from runtime.models.rows import Reader
from runtime.models.thinker import freeze, save
from runtime.training.trainer_arguments import assert_towers_on_all_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from c2f_spec.spec.resources import Zero
    from runtime.models.thinker import Student
    from runtime.process.context import Context


def freeze_and_read(ctx: Context, tuner: Full | Lora, student: Student, frozen: tuple[str, ...]) -> Reader:
    """Freeze and widen weights of `student` as training needs them, and return the reader of its clips.

    Raises `InvalidStageSpec` for clips that ZeRO does not support.
    """
    freeze(student.model, frozen)
    zero = ctx.stage.placement.zero_stage(ctx.world)
    widen_to_float32(tuner, student.model, zero)
    reader = Reader.from_context(ctx, student.processor)
    assert_towers_on_all_ranks(
        zero, ctx.stage.kind, reader.clips.values(), towers_trained=trains_towers(tuner, student.model)
    )
    return reader


def save_trained(trainer: Any, student: Student, folder: Path) -> None:
    """Save the trained student in the type of its original weights; called by all ranks, rank 0 writes.

    Raises `LookupError` if a tensor is not gathered.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    with _gathered_weights(model):
        found = merge_adapters(model)
        if trainer.args.process_index == 0:
            came_in = found.config.dtype
            save(type(student)(found.to(came_in) if came_in else found, student.processor), folder)


@contextmanager
def _gathered_weights(model: Any) -> Iterator[None]:
    """Gather every parameter on every rank in this context, as when ZeRO 3 generates: 2 bytes a weight (METHOD 8.4)."""
    parameters = dict(model.named_parameters())
    spread = [p for p in parameters.values() if hasattr(p, "ds_tensor")]
    if not spread:
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(spread):
        for name, parameter in parameters.items():
            if parameter.shape != full_shape(parameter):
                raise LookupError(
                    f"`{name}` was not gathered: {tuple(parameter.shape)} of {tuple(full_shape(parameter))}"
                )
        yield


TEXT_MODEL = "model.language_model."


def adapters(tuner: Full | Lora, model: Any) -> Any:
    """Return peft's configuration of adapters on the named linear layers of the text model; `None` for full tuning."""
    if isinstance(tuner, Full):
        return None
    from peft import LoraConfig

    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in tuner.layers
    ]
    return LoraConfig(
        r=tuner.rank,
        lora_alpha=tuner.alpha,
        lora_dropout=tuner.dropout,
        target_modules=[name for name in linear if name.startswith(TEXT_MODEL)],
        task_type="CAUSAL_LM",
    )


def widen_to_float32(tuner: Full | Lora, model: Any, zero: Zero) -> None:
    """Convert trained weights to float32: an update of 1e-5 of a weight is lost in bfloat16.

    Adapters are in float32 anyway, and DeepSpeed has its own copy. The precision of computation is set elsewhere.
    """
    if isinstance(tuner, Full) and zero == "off":
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()


def trains_towers(tuner: Full | Lora, model: Any) -> bool:
    """Return whether weights of the towers are trained, which only clips with sound or video use."""
    text = (TEXT_MODEL, "lm_head.")
    return isinstance(tuner, Full) and any(
        p.requires_grad and not name.startswith(text) for name, p in model.named_parameters()
    )


def merge_adapters(model: Any) -> Any:
    """Return the model with adapters merged into its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
