"""Detect a diverged GRPO though every number is finite: far from its reference, or out of the format it had.

Both are means over a window of steps of the logged metrics, so that a resumed run decides as an undisturbed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
