"""What a trainer logs -> metrics and progress of the stage, and an end to a run that went wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from c2f_spec.errors import Diverged
from runtime.console import log_line
from runtime.training.divergence_guard import broken
from runtime.training.throughput import Measure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.process.context import Context

__all__ = ["PrinterCallback", "Watch"]

LINES = 20
"""In the log of a whole run; metrics.jsonl has every step."""


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Passes on what `names` lists, under our names, once an optimiser step.

    `score` is the metric by which one checkpoint is better than another, with a minus before it if less is better.
    """

    def __init__(self, context: Context, names: Mapping[str, str], score: str) -> None:
        self.rows: list[dict[str, float]] = []
        """Of every step, those of earlier attempts included."""
        self._context, self._names, self._score = context, names, score
        self._saved = 0
        self.measure = Measure()

    @property
    def last(self) -> dict[str, float]:
        """The metrics of the last step."""
        return self.rows[-1] if self.rows else {}

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Raises `Diverged` on a loss or a gradient that is not finite, and on what `guard` limits."""
        del args, control
        if not logs or "loss" not in logs:  # the summary at the end of training
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(float(logs[name])):
                raise Diverged(
                    f"`{name}` is {logs[name]} at step {state.global_step}",
                    hint="lower the learning rate, or raise the share of warm-up steps",
                )
        row = {
            ours: float(logs[theirs]) for theirs, ours in self._names.items() if logs.get(theirs) is not None
        }
        self.rows.append(row)
        self._context.log(state.global_step, **row)
        self._context.progress(
            state.global_step, state.max_steps, "steps", loss=float(logs["loss"]), **self.measure.so_far()
        )
        if state.global_step % max(1, state.max_steps // LINES) == 0 and self._context.rank == 0:
            log_line(f"step {state.global_step} of {state.max_steps}: loss {float(logs['loss']):.4g}")
        wrong = broken(self.rows, self._context.stage.placement.guard)
        if wrong is not None:
            raise Diverged(f"{wrong[0]}, at step {state.global_step}", hint=wrong[1])

    def score_since_save(self) -> float | None:
        """The mean of the score over the steps since this was last asked; `None` if it was logged in none of them."""
        name, sign = self._score.removeprefix("-"), -1 if self._score.startswith("-") else 1
        values = [row[name] for row in self.rows[self._saved :] if name in row]
        self._saved = len(self.rows)
        return sign * sum(values) / len(values) if values else None

    def go_on(self, rows: list[dict[str, float]]) -> None:
        """After the steps of an attempt before."""
        self.rows, self._saved = rows, len(rows)
