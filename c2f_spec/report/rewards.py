"""The paper's Figure 3 of all experiments: rewards over steps, with and without a hint apart, seeds as mean and band.

A hint gives the polarity away and lifts the reward by its weight, so a curve of all answers shows hints and not learning
(METHOD 1.8, 6.3): what was learned is the reward of the first answers, and what hints add stands beside it.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from c2f_spec.metrics.answers import finite
from c2f_spec.report.curves import thinned
from c2f_spec.report.model import Chart, Curves, Series
from c2f_spec.report.views import Rise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.report.outputs import Outputs
    from c2f_spec.report.seeds import Group

CHARTS = (
    ("reward/unhinted", "Reward without a hint", "mean total reward", "Of first answers: what was learned."),
    ("reward/hinted", "Reward with a hint", "mean total reward", "Of answers that were given the polarity."),
    (
        "reward/trained",
        "Reward as trained on",
        "mean total reward",
        "Of the answers that the update used: both kinds.",
    ),
    ("polarity/unhinted", "Right polarity, first answers", "share", ""),
    (
        "polarity/hard_trailing",
        "Right polarity, clips that were hard",
        "share",
        "First answers, mean of 20 steps.",
    ),
    ("hint/groups", "Hinted groups", "share of groups", ""),
)
PART = 5
"""The first and the last fifth of the steps are compared."""

Rows = list[dict[str, Any]]


def rewards(found: Sequence[Group], outputs: Outputs) -> Curves | None:
    """`None` if fewer than two experiments were trained by RL: one is in its own section."""
    logged = {g.name: runs for g in found if (runs := _runs(g, outputs))}
    if len(logged) < 2:
        return None
    made = []
    for key, title, unit, note in CHARTS:
        lines = tuple(s for name, runs in logged.items() if (s := _line(name, runs, key)) is not None)
        if lines:
            made.append(Chart(title, unit, lines, note, smooth=True))
    return Curves("Reinforcement learning, all experiments", "", tuple(made))


def rises(found: Sequence[Group], outputs: Outputs) -> tuple[Rise, ...]:
    """Of every experiment that was trained by RL."""
    return tuple(_rise(g.name, runs) for g in found if (runs := _runs(g, outputs)))


def _runs(group: Group, outputs: Outputs) -> list[Rows]:
    """metrics.jsonl of each seed that has one."""
    made = (outputs.find(v, "grpo") for v in group.variants)
    return [rows for one in made if one is not None and (rows := one.rows("metrics.jsonl"))]


def _line(name: str, runs: Sequence[Rows], key: str) -> Series | None:
    """Mean over seeds at each step that any has a value for, and a band if several have."""
    by_step: dict[float, list[float]] = {}
    for rows in runs:
        for row in rows:
            step, value = finite(row.get("step")), finite(row.get(key))
            if step is not None and value is not None:
                by_step.setdefault(step, []).append(value)
    if not by_step:
        return None
    points = thinned([(step, fmean(values)) for step, values in sorted(by_step.items())])
    spread = ((s, fmean(v), stdev(v)) for s, v in sorted(by_step.items()) if len(v) > 1)
    band = tuple((step, mean - sd, mean + sd) for step, mean, sd in spread)
    return Series(name, tuple(points), band if len(band) <= len(points) else ())


def _rise(name: str, runs: Sequence[Rows]) -> Rise:
    return Rise(
        name,
        _ends(runs, "reward/unhinted"),
        _ends(runs, "reward/trained"),
        _ends(runs, "hint/groups"),
        len(runs),
    )


def _ends(runs: Sequence[Rows], key: str) -> tuple[float | None, float | None]:
    fifths = [(rows, -(-len(rows) // PART)) for rows in runs]
    first = [v for rows, n in fifths for v in _values(rows[:n], key)]
    last = [v for rows, n in fifths for v in _values(rows[-n:], key)]
    return (fmean(first) if first else None, fmean(last) if last else None)


def _values(rows: Rows, key: str) -> Iterator[float]:
    yield from (value for row in rows if (value := finite(row.get(key))) is not None)
