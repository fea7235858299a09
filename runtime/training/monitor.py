"""Monitor a training: detect a divergence, measure time and memory. Nothing here changes a result.

A GRPO can diverge though every number is finite: far from its reference, or out of the format it had. Both are means over
a window of steps of the logged metrics, so that a resumed run decides as an undisturbed one.

The plan calibrates its estimates by the measurements (`provenance.measured` of the record).
"""

from __future__ import annotations

import resource
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.resources import Guard


MIN_FORMAT_BEFORE = 0.5
"""Share of answers in the format below which a policy has not learned the format yet, and cannot lose it."""


def find_divergence(rows: Sequence[Mapping[str, float]], guard: Guard) -> tuple[str, str] | None:
    """Return a message and a hint, or `None`; `rows` are the metrics of every step so far."""
    if len(rows) < guard.window:
        return None
    recent = rows[-guard.window :]
    kl = _mean(recent, "kl")
    if guard.max_kl is not None and kl is not None and kl > guard.max_kl:
        message = f"the KL to the reference is {kl:.3g} nats a token over {guard.window} steps, more than {guard.max_kl:g}"
        return message, "lower `grpo.learning_rate`, raise `grpo.beta`, or raise `guard.max_kl`"
    formed = _mean(recent, "reward/format")
    if guard.min_format is not None and formed is not None and formed < guard.min_format:
        before = _best(rows, guard.window)
        if before >= MIN_FORMAT_BEFORE:
            message = f"{formed:.0%} of the answers of {guard.window} steps have the format, and {before:.0%} had it before"
            return message, "lower `grpo.learning_rate`, raise `grpo.beta`, or lower `guard.min_format`"
    return None


def _mean(rows: Sequence[Mapping[str, float]], name: str) -> float | None:
    """Return the mean of a metric, `None` where it is not logged, as the format rate without its reward."""
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else None


def _best(rows: Sequence[Mapping[str, float]], window: int) -> float:
    """Return the best format rate of consecutive windows of `window` steps."""
    means = [
        _mean(rows[at : at + window], "reward/format") for at in range(0, len(rows) - window + 1, window)
    ]
    return max((mean for mean in means if mean is not None), default=0.0)


class ThroughputCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no type hints
    """Measures the steps of this attempt. The first step includes work that is done only then, so rates leave it out."""

    def __init__(self) -> None:
        self._began = 0.0
        self._seconds: list[float] = []
        self._tokens: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.monotonic()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._seconds.append(time.monotonic() - self._began)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        del args, state, control
        if logs and "loss" in logs and "num_tokens" in logs:
            self._tokens.append(float(logs["num_tokens"]))  # so far, of all ranks

    def so_far(self) -> dict[str, float]:
        """Return tokens a second of all ranks and peaks in bytes of this one, for progress."""
        found: dict[str, float] = {
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        }
        steps = min(len(self._tokens), len(self._seconds))
        if steps > 1:
            done = self._tokens[steps - 1] - self._tokens[0]
            found["tokens_per_second"] = round(done / sum(self._seconds[1:steps]), 1)
        if torch.cuda.is_available():
            found["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
        return found

    def summary(self, trainer: Any) -> dict[str, float]:
        """Return seconds and bytes for the record; peaks are of this rank. `generation_seconds` is part of a GRPO step."""
        found: dict[str, float] = {"steps": len(self._seconds), **self.so_far()}
        if self._seconds:
            found["step_seconds"] = round(median(self._seconds[1:] or self._seconds), 4)
        generated = getattr(trainer, "generation_seconds", [])
        if generated:
            found["generation_seconds"] = round(median(generated[1:] or generated), 4)
        return found
