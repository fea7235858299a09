"""Turn metrics.jsonl of training stages into charts: of one variant, and the paper's Figure 3 of all experiments.

A hint gives the polarity away and lifts the reward by its weight, so rewards with and without a hint are never mixed
(METHOD 1.8, 6.3): the reward of the first answers is what was learned, and what hints add stands beside it.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from c2f_spec.metrics.answers import finite
from c2f_spec.report.report_data import Chart, Curves, Rise, Series
from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.grpo import REWARD_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.plan.model import Variant
    from c2f_spec.report.outputs import Output, Outputs
    from c2f_spec.report.scores import Group
MOST = 300
"""Most points of a line; more are averaged."""


MORE = (
    ("Rewards by name, hinted answers", "mean reward", {f"reward_hinted/{n}": n for n in REWARD_NAMES}, ""),
    (
        "Right polarity of first answers",
        "share",
        {
            "polarity/unhinted": "all clips",
            "polarity/hard": "clips that were hard",
            "polarity/hard_trailing": "the same, mean of 20 steps",
        },
        "Clips that an earlier visit found hard: whether hints teach.",
    ),
    ("The same by label", "share", {f"polarity/{p}": p for p in POLARITIES}, ""),
    ("Hinted groups by polarity", "share of groups", {f"hint/{p}": p for p in POLARITIES}, ""),
    (
        "Tag and score agree",
        "share",
        {"agreement/unhinted": "without hint", "agreement/hinted": "with hint"},
        "",
    ),
    ("Length of answers", "tokens", {"length/unhinted": "without hint", "length/hinted": "with hint"}, ""),
    ("Answers that were cut", "share", {"cut/unhinted": "without hint", "cut/hinted": "with hint"}, ""),
    ("Groups rewarded all alike", "share of groups", {"zero_variance": "groups"}, "They teach nothing."),
    ("Gradient norm", "before clipping", {"grad_norm": "norm"}, ""),
)
"""Title, unit, metrics and note of charts that appear where their metrics were logged."""
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
"""Metric, title, unit and note of the charts of all experiments."""
PART = 5
"""Number of equal parts of the steps, of which the first and the last are compared."""

Rows = list[dict[str, Any]]


def sft_curves(outputs: Outputs, variant: Variant) -> Curves | None:
    """Return loss and gradient norm of supervised fine-tuning; `None` if the variant has no such stage."""
    trained = outputs.find(variant, "sft")
    if trained is None:
        return None
    rows = trained.rows("metrics.jsonl")
    charts = tuple(
        _chart(rows, title, unit, _series(rows, {name: name}))
        for title, unit, name in (
            ("Loss", "nats per token", "loss"), ("Gradient norm", "before clipping", "grad_norm"),
        )
    )  # fmt: skip
    return _curves("Supervised fine-tuning", trained, charts)


def grpo_curves(outputs: Outputs, variant: Variant) -> Curves | None:
    """Return the curves of reinforcement learning; `None` if the variant has no such stage."""
    trained = outputs.find(variant, "grpo")
    if trained is None:
        return None
    rows = trained.rows("metrics.jsonl")
    apart = _series(rows, {"reward/unhinted": "without hint", "reward/hinted": "with hint"})
    differs = any(row.get("hard/groups") != row.get("hint/groups") for row in rows)
    groups = {"hint/groups": "hinted", **({"hard/groups": "hard"} if differs else {})}
    several = len(apart) > 1
    charts = (
        _chart(
            rows,
            "Reward, with and without the hint" if several else "Reward",
            "mean total reward",
            apart or _series(rows, {"reward": "all"}),
            "A hint gives the polarity away: the two lines do not compare." if several else "",
        ),
        _chart(
            rows,
            "Rewards by name",
            "mean reward",
            _series(rows, {f"reward/{n}": n for n in REWARD_NAMES}),
            "Of the first answers, before any hint.",
        ),
        _chart(
            rows,
            "Hard and hinted groups" if differs else "Hinted groups",
            "share of groups",
            _series(rows, groups),
            "A group is hard if every answer's reward is below the threshold.",
        ),
        _chart(rows, "KL from the start model", "nats per token", _series(rows, {"kl": "KL"})),
        *(_more(rows, *one) for one in MORE),
    )
    return _curves("Reinforcement learning (GRPO)", trained, charts)


def _more(rows: Rows, title: str, unit: str, names: dict[str, str], note: str) -> Chart:
    """Return a chart; a note about lines after the first appears only where there are several lines."""
    series = _series(rows, names)
    return _chart(rows, title, unit, series, note if len(names) == 1 or len(series) > 1 else "")


def _chart(rows: Rows, title: str, unit: str, series: tuple[Series, ...], note: str = "") -> Chart:
    """Return a chart whose note also says how many steps each point is the mean of."""
    size = -(-len(rows) // MOST)
    mean = f" Each point is the mean of {size} steps." if size > 1 else ""
    return Chart(title, unit, series, (note + mean).strip(), smooth=True)


def _curves(title: str, trained: Output, charts: tuple[Chart, ...]) -> Curves:
    drawn = tuple(c for c in charts if c.series)
    return Curves(title, trained.state or ("" if drawn else "no metrics"), drawn)


def _series(rows: Rows, names: dict[str, str]) -> tuple[Series, ...]:
    """Return a line for each metric that occurs. A step without the metric is a gap."""
    lines = []
    for key, name in names.items():
        points = [
            (step, finite(row.get(key))) for row in rows if (step := finite(row.get("step"))) is not None
        ]
        if any(value is not None for _, value in points):
            lines.append(Series(name, tuple(thin(points))))
    return tuple(lines)


def thin(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Return at most `MOST` points, each the mean of equally many steps."""
    size = -(-len(points) // MOST)
    if size <= 1:
        return points
    thin = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        values = [v for _, v in part if v is not None]
        thin.append((sum(s for s, _ in part) / len(part), sum(values) / len(values) if values else None))
    return thin


def rewards(groups: Sequence[Group], outputs: Outputs) -> Curves | None:
    """Return charts of rewards, mean and deviation over seeds; `None` if fewer than two experiments were trained by RL."""
    logged = {g.name: runs for g in groups if (runs := _runs(g, outputs))}
    if len(logged) < 2:
        return None
    charts = []
    for key, title, unit, note in CHARTS:
        lines = tuple(s for name, runs in logged.items() if (s := _line(name, runs, key)) is not None)
        if lines:
            charts.append(Chart(title, unit, lines, note, smooth=True))
    return Curves("Reinforcement learning, all experiments", "", tuple(charts))


def rises(groups: Sequence[Group], outputs: Outputs) -> tuple[Rise, ...]:
    """Return the rise of every experiment that was trained by RL."""
    return tuple(_rise(g.name, runs) for g in groups if (runs := _runs(g, outputs)))


def _runs(group: Group, outputs: Outputs) -> list[Rows]:
    """Return the rows of metrics.jsonl of each seed that has the file."""
    trained = (outputs.find(v, "grpo") for v in group.variants)
    return [rows for one in trained if one is not None and (rows := one.rows("metrics.jsonl"))]


def _line(name: str, runs: Sequence[Rows], key: str) -> Series | None:
    """Return the mean over seeds at each step with a value, and a band where several seeds have one."""
    by_step: dict[float, list[float]] = {}
    for rows in runs:
        for row in rows:
            step, value = finite(row.get("step")), finite(row.get(key))
            if step is not None and value is not None:
                by_step.setdefault(step, []).append(value)
    if not by_step:
        return None
    points = thin([(step, fmean(values)) for step, values in sorted(by_step.items())])
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
