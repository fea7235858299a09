"""Pass a trainer's logs on as metrics and progress of the stage, and end a diverged run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback

from c2f_spec.errors import Diverged
from runtime.console import log_line
from runtime.training.monitor import ThroughputCallback, find_divergence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.process.context import Context

__all__ = ["MetricsCallback", "PrinterCallback"]

LINES = 20
"""Lines in the log of a whole run; metrics.jsonl has every step."""


class MetricsCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Passes on the logs in `names`, under the names that it maps to, once an optimiser step.

    `score` is the metric that ranks checkpoints, with a minus before it if less is better.
    """

    def __init__(self, context: Context, names: Mapping[str, str], score: str) -> None:
        self.rows: list[dict[str, float]] = []
        """Metrics of every step, those of earlier attempts included."""
        self._context, self._names, self._score = context, names, score
        self._saved = 0
        self.throughput = ThroughputCallback()

    @property
    def last(self) -> dict[str, float]:
        """The metrics of the last step."""
        return self.rows[-1] if self.rows else {}

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Raise `Diverged` on a loss or a gradient that is not finite, and beyond the limits of `guard`."""
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
            state.global_step, state.max_steps, "steps", loss=float(logs["loss"]), **self.throughput.so_far()
        )
        if state.global_step % max(1, state.max_steps // LINES) == 0 and self._context.rank == 0:
            log_line(f"step {state.global_step} of {state.max_steps}: loss {float(logs['loss']):.4g}")
        wrong = find_divergence(self.rows, self._context.stage.placement.guard)
        if wrong is not None:
            raise Diverged(f"{wrong[0]}, at step {state.global_step}", hint=wrong[1])

    def score_since_save(self) -> float | None:
        """Return the mean score of the steps since the last call; `None` if none logged it."""
        name, sign = self._score.removeprefix("-"), -1 if self._score.startswith("-") else 1
        values = [row[name] for row in self.rows[self._saved :] if name in row]
        self._saved = len(self.rows)
        return sign * sum(values) / len(values) if values else None

    def restore(self, rows: list[dict[str, float]]) -> None:
        """Go on after the steps of an earlier attempt."""
        self.rows, self._saved = rows, len(rows)
