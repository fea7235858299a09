"""Which weights are trained: all that the student's kind does not freeze, or low-rank adapters.

Adapters are merged into the model before it is saved, inside the stage that trained them. A stage of its own would have
to fetch the base and the adapters again for a few seconds of work, and its output is what every consumer reads anyway:
the reference of GRPO is then the fine-tuned model, as METHOD 1.7 demands, because adapters that are switched off leave
exactly the merged model that GRPO started from.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from c2f_spec.spec.sections import Full, Lora

TEXT_MODEL = "model.language_model."


def adapters(tuner: Full | Lora, model: Any) -> Any:
    """`None` for full tuning, else what peft is told: adapters on every linear layer of the text model."""
    if isinstance(tuner, Full):
        return None
    from peft import LoraConfig

    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return LoraConfig(
        r=tuner.rank,
        lora_alpha=tuner.alpha,
        lora_dropout=tuner.dropout,
        target_modules=[name for name in linear if name.startswith(TEXT_MODEL)],
        task_type="CAUSAL_LM",
    )


def merged(model: Any) -> Any:
    """The model with what was trained in it; adapters become part of its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
