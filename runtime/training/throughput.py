"""Measure time and memory of training steps; the plan calibrates its estimates by it (`provenance.measured` of the record)."""

from __future__ import annotations

import resource
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from collections.abc import Mapping


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
