"""When GRPO went wrong though every number is finite: far from its reference, or no longer in the format it had.

Both are judged on means over a window of steps, from the metrics themselves, so that a run that resumes judges as one
that was never stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.resources import Guard

FORMED = 0.5
"""A policy that never wrote more than this share of its answers in the format has nothing to lose yet."""


def broken(rows: Sequence[Mapping[str, float]], guard: Guard) -> tuple[str, str] | None:
    """What is wrong and the way out, or nothing; `rows` are the metrics of every step so far."""
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
        if before >= FORMED:
            message = f"{formed:.0%} of the answers of {guard.window} steps have the format, and {before:.0%} had it before"
            return message, "lower `grpo.learning_rate`, raise `grpo.beta`, or lower `guard.min_format`"
    return None


def _mean(rows: Sequence[Mapping[str, float]], name: str) -> float | None:
    """`None` where a metric is not logged, as the format rate without its reward."""
    values = [row[name] for row in rows if name in row]
    return sum(values) / len(values) if values else None


def _best(rows: Sequence[Mapping[str, float]], window: int) -> float:
    """The best mean of `window` steps in a row, of windows side by side."""
    means = [
        _mean(rows[at : at + window], "reward/format") for at in range(0, len(rows) - window + 1, window)
    ]
    return max((mean for mean in means if mean is not None), default=0.0)
