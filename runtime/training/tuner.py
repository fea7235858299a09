"""Which weights are trained: all that the student's kind does not freeze, or low-rank adapters.

Adapters are merged into the model before it is saved, inside the stage that trained them. A stage of its own would have
to fetch the base and the adapters again for a few seconds of work, and its output is what every consumer reads anyway:
the reference of GRPO is then the fine-tuned model, as METHOD 1.7 demands, because adapters that are switched off leave
exactly the merged model that GRPO started from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from c2f_spec.spec.sections import Full, Lora

if TYPE_CHECKING:
    from c2f_spec.spec.place import Zero

TEXT_MODEL = "model.language_model."


def adapters(tuner: Full | Lora, model: Any) -> Any:
    """`None` for full tuning, else what peft is told: adapters on the linear layers of the text model that it names."""
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


def widen(tuner: Full | Lora, model: Any, zero: Zero) -> None:
    """Trained weights in float32, whatever they came in: an update of 1e-5 of a weight is lost in bfloat16.

    Adapters are in float32 anyway, and DeepSpeed has a copy of its own. What is computed with is decided elsewhere.
    """
    if isinstance(tuner, Full) and zero == "off":
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()


def trains_towers(tuner: Full | Lora, model: Any) -> bool:
    """Whether any weight is trained that only some clips reach: those of the towers."""
    text = (TEXT_MODEL, "lm_head.")
    return isinstance(tuner, Full) and any(
        p.requires_grad and not name.startswith(text) for name, p in model.named_parameters()
    )


def merged(model: Any) -> Any:
    """The model with what was trained in it; adapters become part of its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
