"""What a trainer logs -> metrics and progress of the stage, and an end to a run that went wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from c2f_spec.errors import Diverged
from runtime.context import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.context import Context

__all__ = ["PrinterCallback", "Watch"]

LINES = 20
"""In the log of a whole run; metrics.jsonl has every step."""


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Passes on what `names` lists, under our names, once an optimiser step."""

    def __init__(self, context: Context, names: Mapping[str, str]) -> None:
        self.last: dict[str, float] = {}
        self._context, self._names = context, names

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Raises `Diverged` on a loss or a gradient that is not finite."""
        del args, control
        if not logs or "loss" not in logs:  # the summary at the end of training
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(float(logs[name])):
                raise Diverged(
                    f"`{name}` is {logs[name]} at step {state.global_step}",
                    hint="lower the learning rate, or raise the share of warm-up steps",
                )
        self.last = {
            ours: float(logs[theirs]) for theirs, ours in self._names.items() if logs.get(theirs) is not None
        }
        self._context.log(state.global_step, **self.last)
        self._context.progress(state.global_step, state.max_steps, "steps", loss=float(logs["loss"]))
        if state.global_step % max(1, state.max_steps // LINES) == 0 and self._context.rank == 0:
            say(f"step {state.global_step} of {state.max_steps}: loss {float(logs['loss']):.4g}")
