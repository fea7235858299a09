"""Draw charts as inline SVG: curves, intervals, stacked bars, matrices, scatter plots, the timeline.

Colours come from the page's style.

Every chart is drawn 360 units wide, a phone's width, so that its text is as large as the text around it there; wider
screens show several side by side.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from c2f_spec.report import numbers
from c2f_spec.report.markup import Html, el, join, shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.metrics.errors_by_class import Calibration, Confusion
    from c2f_spec.report.report_data import Bar, Chart, DatasetScores, FunnelRow, Series, Shift


WIDTH, HEIGHT = 360.0, 216.0
SQUARE = 248.0
"""Height of a chart whose axes are equal."""
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 24.0, 34.0
SMOOTHED = 8
"""Number of points up to which a line is not smoothed."""
WEIGHT = 0.6
"""Weight of the mean so far in a smoothed line; a person changes it by the page's slider (figures.js)."""
MARKED = 80
"""Number of points up to which each is marked."""
COLOURS = {
    "prepare": 6,
    "distil": 5,
    "filter": 5,
    "sft": 4,
    "grpo": 2,
    "evaluate": 1,
    "baseline": 3,
}
"""Colour of each kind of stage: preparation, training and evaluation differ."""
NAME = 13.0
"""Least distance between the base lines of two names."""
IDLE = 0.04
"""Share of the busy time to which a longer pause between stages is shortened."""


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from at or below `low` to at or above `high`: steps of 1, 2 or 5 times a power of ten."""
    size = max(abs(low), abs(high))
    if not 1e-12 < size < math.inf:
        return [0.0, 0.5, 1.0]
    span = high - low
    if span <= 1e-6 * size:
        return ticks(low - size / 2, high + size / 2, most)
    raw = span / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def line_chart(chart: Chart) -> Html:
    """Draw series over steps, with grid, named axes, and the value of each point as its title."""
    values = [v for s in chart.series for _, v in s.points if v is not None]
    values += [v for s in chart.series for _, *ends in s.band for v in ends]
    steps = [x for s in chart.series for x, _ in s.points]
    ys = ticks(min([*values, 0.0] if chart.zero else values), max([*values, 0.0] if chart.zero else values))
    marks = ticks(min(steps), max(steps), 6)
    xs = [t for t in marks if min(steps) <= t <= max(steps) and t.is_integer()] or [min(steps)]
    x = scale(min(steps), max(steps), LEFT, WIDTH - RIGHT)
    y = scale(ys[0], ys[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid_y(ys, y), *(svg_text(numbers.plain(t), x(t), HEIGHT - BOTTOM + 15, "middle") for t in xs)]
    parts += [
        svg_text("step", WIDTH - RIGHT, HEIGHT - 4, "end", "unit"),
        svg_text(chart.unit, 2, 12, "start", "unit"),
    ]
    parts += [_band(s, i, x, y) for i, s in enumerate(chart.series, start=1) if s.band]
    smooth = chart.smooth and len(steps) > SMOOTHED * len(chart.series)
    several = len(chart.series) > 1
    parts += [_line(s, i, x, y, name=several, raw=smooth) for i, s in enumerate(chart.series, start=1)]
    parts += [_smoothed(s, i, x, y) for i, s in enumerate(chart.series, start=1)] if smooth else []
    description = "; ".join(f"{s.name} from {_ends(s)}" for s in chart.series)
    return svg_picture(parts, HEIGHT, f"{chart.title}, {chart.unit} over steps: {description}")


def dot_chart(table: DatasetScores, low: float, high: float) -> Html:
    """Draw Acc2 of each model with its 95 % interval; the dashed line is the majority class."""
    rows = [r for r in table.rows if r.scores]
    height = 26 * len(rows) + 44.0
    x = scale(low, high, 96, WIDTH - 50)
    parts: list[Html] = []
    for t in (t for t in ticks(low, high, 5) if low <= t <= high):
        parts.append(svg_line(x(t), 6, x(t), height - 30, "grid"))
        parts.append(svg_text(numbers.plain(t), x(t), height - 16, "middle"))
    if table.majority is not None:
        parts.append(svg_line(x(100 * table.majority), 2, x(100 * table.majority), height - 30, "bar"))
    for i, row in enumerate(rows):
        middle = 20.0 + 26 * i
        parts.append(svg_text(row.model, 90, middle + 4, "end", "name"))
        value = row.scores["Acc2"]
        if value is None:
            parts.append(svg_text(numbers.NOTHING, 100, middle + 4, "start"))
            continue
        bounds = (row.scores.get("intervals") or {}).get("Acc2")
        style = "c1" if row.group == "checkpoint" else "c6"
        if bounds:
            parts.append(svg_line(x(100 * bounds[0]), middle, x(100 * bounds[1]), middle, f"whisker {style}"))
        tooltip = f"{row.model}: {numbers.percent(value)} % {numbers.interval(bounds, numbers.percent)}"
        parts.append(shape("circle", tooltip, cx=x(100 * value), cy=middle, r=4.5, class_=f"dot {style}"))
        parts.append(svg_text(numbers.percent(value), WIDTH - 4, middle + 4, "end", "value"))
    parts.append(svg_text("Acc2, %", WIDTH - 50, height - 3, "end", "unit"))
    description = "; ".join(f"{r.model} {numbers.percent(r.scores['Acc2'])} %" for r in rows)
    return svg_picture(parts, height, f"Acc2 on {table.data.name}: {description}")


def funnel_chart(rows: Sequence[FunnelRow], filters: Sequence[str]) -> Html:
    """Draw a bar of full width a row: the share that was kept, then that which each filter dropped."""
    height = 30.0 * len(rows) + 22
    parts = [svg_text(f"{t} %", 70 + 2.2 * t, height - 6, "middle") for t in (0, 50, 100)]
    for i, row in enumerate(rows):
        top, left = 4.0 + 30 * i, 70.0
        parts.append(svg_text(row.name, 62, top + 16, "end", "name"))
        for j, (name, part) in enumerate(
            [("kept", row.kept), *((f, row.dropped.get(f, 0)) for f in filters)], start=1
        ):
            wide = 220.0 * part / row.entered if row.entered else 0.0
            if wide > 0:
                tooltip = f"{row.name}, {name}: {part:,} of {row.entered:,}"
                parts.append(
                    shape("rect", tooltip, x=left, y=top, width=wide, height=22, class_=f"fill c{colour(j)}")
                )
            left += wide
        parts.append(svg_text(f"{row.kept:,} kept", WIDTH - 4, top + 16, "end", "value"))
    description = "; ".join(f"{r.name} {r.kept} of {r.entered} kept" for r in rows)
    return svg_picture(parts, height, f"Chains kept and dropped: {description}")


def colour(number: int) -> int:
    """Return one of six colours, in turn."""
    return (number - 1) % 6 + 1


def _line(
    series: Series,
    number: int,
    x: Callable[[float], float],
    y: Callable[[float], float],
    *,
    name: bool,
    raw: bool,
) -> Html:
    """Draw a polyline for each run of steps that have a value, and a mark for each value if they are few.

    `raw`: faint, because a smoothed line is drawn over it.
    """
    style = f"c{colour(number)}{' raw' if raw else ''}"
    present = [(s, v) for s, v in series.points if v is not None]
    parts = []
    for run in _runs(series):
        if len(run) > 1:
            points = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in run)
            parts.append(el("polyline", points=points, class_=f"line {style}"))
        if len(present) <= MARKED or len(run) == 1:
            for s, v in run:
                tooltip = f"{series.name + ', ' if name else ''}step {numbers.plain(s)}: {v:.4g}"
                parts.append(shape("circle", tooltip, cx=x(s), cy=y(v), r=2.2, class_=f"mark {style}"))
    return join(parts)


def smooth(values: Sequence[float], weight: float = WEIGHT) -> list[float]:
    """Return the exponential moving average, corrected for its start at 0 (the bias correction of Adam, arXiv 1412.6980)."""
    smoothed, mean, share = [], 0.0, 0.0
    for value in values:
        mean, share = weight * mean + (1 - weight) * value, weight * share + 1 - weight
        smoothed.append(mean / share)
    return smoothed


def _smoothed(series: Series, number: int, x: Callable[[float], float], y: Callable[[float], float]) -> Html:
    """Draw one line through all values. It is smoothed in page coordinates, so that the script needs no values."""
    places = [(x(s), y(v)) for s, v in series.points if v is not None]
    line = zip((a for a, _ in places), smooth([b for _, b in places]), strict=True)
    return el(
        "polyline",
        points=" ".join(f"{a:.1f},{b:.1f}" for a, b in line),
        data_raw=" ".join(f"{a:.1f},{b:.1f}" for a, b in places),
        class_=f"line smooth c{colour(number)}",
    )


def _band(series: Series, number: int, x: Callable[[float], float], y: Callable[[float], float]) -> Html:
    """Draw the area of a standard deviation over seeds to either side."""
    upper = [f"{x(s):.1f},{y(high):.1f}" for s, _, high in series.band]
    lower = [f"{x(s):.1f},{y(low):.1f}" for s, low, _ in reversed(series.band)]
    return el("polygon", points=" ".join((*upper, *lower)), class_=f"band fill c{colour(number)}")


def _runs(series: Series) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for step, value in series.points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append((step, value))
    return [run for run in runs if run]


def _ends(series: Series) -> str:
    values = [v for _, v in series.points if v is not None]
    return f"{values[0]:.3g} to {values[-1]:.3g}"


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return the function from values to coordinates."""
    span = high - low
    return lambda value: start + (end - start) * ((value - low) / span if span else 0.5)


def _grid_y(ys: Sequence[float], y: Callable[[float], float]) -> Html:
    lines = (svg_line(LEFT, y(t), WIDTH - RIGHT, y(t), "axis" if t == 0 else "grid") for t in ys)
    names = (svg_text(numbers.plain(t), LEFT - 6, y(t) + 4, "end") for t in ys)
    return join([*lines, *names])


def svg_line(x1: float, y1: float, x2: float, y2: float, style: str) -> Html:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)


def svg_text(text: str, x: float, y: float, anchor: str, style: str = "tick") -> Html:
    printed = text.replace("-", "\u2212") if style in ("tick", "value") else text
    return el("text", printed, x=x, y=y, text_anchor=anchor, class_=style)


def svg_picture(parts: Sequence[Html], height: float, description: str, width: float = WIDTH) -> Html:
    """Return the whole picture, with a text alternative for people who cannot see it."""
    return el("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=description)


def confusion_matrix(confusion: Confusion, title: str) -> Html:
    """Draw labels as rows, answers as columns, the last for those without a score; darker is a larger share of the row."""
    k = len(confusion.classes)
    left, top, high = 74.0, 30.0, 26.0
    wide = (WIDTH - left - 4) / (k + 1)
    heads = [*confusion.classes, "none"]
    parts = [svg_text("answered", left, 11, "start", "unit")]
    parts += [svg_text(head, left + wide * (j + 0.5), 25, "middle") for j, head in enumerate(heads)]
    for i, (name, row) in enumerate(zip(confusion.classes, confusion.counts, strict=True)):
        y, total = top + high * i, sum(row)
        parts.append(svg_text(name, left - 6, y + high / 2 + 4, "end", "name"))
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            tooltip = (
                f"labelled {name}, answered {heads[j]}: {count:,} of {total:,} ({numbers.percent(share)} %)"
            )
            opacity, strong = shade(share)
            style = f"cell {'c3' if i == j else 'c2'}"
            parts.append(
                shape(
                    "rect", tooltip, x=left + wide * j, y=y, width=wide - 2, height=high - 2,
                    class_=style, fill_opacity=opacity,
                )
            )  # fmt: skip
            parts.append(svg_text(f"{count:,}", left + wide * (j + 0.5), y + high / 2 + 3, "middle", strong))
    description = "; ".join(
        f"{n}: {', '.join(map(str, row))}" for n, row in zip(confusion.classes, confusion.counts, strict=True)
    )
    return svg_picture(parts, top + high * k + 4, f"{title}. Rows are labels, columns answers. {description}")


def shade(share: float) -> tuple[float, str]:
    """Return the opacity of a cell with this share of its row, and the style in which its count is legible."""
    return round(0.06 + 0.8 * share, 2), "on" if share > 0.65 else "name"


def calibration_chart(calibration: Calibration, low: float, high: float, title: str) -> Html:
    """Draw mean label over mean score of each part of the scale; a calibrated model lies on the dashed line."""
    marks = [t for t in ticks(low, high) if low <= t <= high]
    x, y, parts = _square_axes(marks, low, high, "mean score", "mean label")
    most = max((b.clips for b in calibration.bins), default=1)
    for b in calibration.bins:
        at, label = x(max(low, min(high, b.score))), max(low, min(high, b.label))
        if b.error:
            ends = (y(max(low, label - b.error)), y(min(high, label + b.error)))
            parts.append(svg_line(at, ends[0], at, ends[1], "whisker c1"))
        tooltip = (
            f"{b.clips:,} clips with a score near {b.score:.2f}: mean label {b.label:.2f} ± {b.error:.2f}"
        )
        parts.append(
            shape("circle", tooltip, cx=at, cy=y(label), r=2.5 + 5 * (b.clips / most) ** 0.5, class_="dot c1")
        )
    description = "; ".join(
        f"score {b.score:.2f}, label {b.label:.2f}, {b.clips} clips" for b in calibration.bins
    )
    return svg_picture(parts, SQUARE, f"{title}. {description}")


def _square_axes(
    marks: Sequence[float], low: float, high: float, across: str, up: str
) -> tuple[Callable[[float], float], Callable[[float], float], list[Html]]:
    """Return the scales of a chart with equal axes, and its grid, dashed diagonal and the titles of both axes."""
    left, right, bottom = 40.0, WIDTH - 14, SQUARE - 34
    x, y = scale(low, high, left, right), scale(low, high, bottom, 24)
    parts = [svg_text(across, right, SQUARE - 3, "end", "unit"), svg_text(up, 2, 9, "start", "unit")]
    for t in marks:
        parts.append(svg_line(left, y(t), right, y(t), "grid"))
        parts.append(svg_text(numbers.plain(t), left - 6, y(t) + 4, "end"))
        parts.append(svg_text(numbers.plain(t), x(t), bottom + 15, "middle"))
    return x, y, [*parts, svg_line(x(low), y(low), x(high), y(high), "bar")]


def shift_chart(shifts: Sequence[Shift]) -> Html:
    """Draw out-of-domain over in-domain Acc2; on the dashed line nothing is lost."""
    values = [100 * v for s in shifts for v in (s.inside, s.outside)]
    marks = ticks(min(values), max(values))
    low, high = marks[0], marks[-1]
    x, y, parts = _square_axes(marks, low, high, "in-domain, %", "out-of-domain, %")
    groups = list(dict.fromkeys(s.group for s in shifts))
    for s in shifts:
        at = (x(100 * s.inside), y(100 * s.outside))
        tooltip = f"{s.group}, {s.checkpoint}: in-domain {numbers.percent(s.inside)} %, out-of-domain {numbers.percent(s.outside)} %"
        style = f"dot c{colour(groups.index(s.group) + 1)}"
        parts.append(shape("circle", tooltip, cx=at[0], cy=at[1], r=4.5, class_=style))
    parts += _names([(x(100 * s.inside), y(100 * s.outside), s.checkpoint) for s in shifts])
    description = "; ".join(
        f"{s.group} {s.checkpoint} {numbers.percent(s.inside)} and {numbers.percent(s.outside)}"
        for s in shifts
    )
    return svg_picture(parts, SQUARE, f"Acc2 in-domain and out-of-domain: {description}")


def _names(points: Sequence[tuple[float, float, str]]) -> list[Html]:
    """Draw each name beside its point, on the side where there is room, and none over another."""
    labels, lowest = [], {"start": 0.0, "end": 0.0}
    for left, top, name in sorted(points, key=lambda point: point[1]):
        side = "end" if left > WIDTH * 0.7 else "start"
        lowest[side] = max(top + 4, lowest[side] + NAME)
        labels.append(svg_text(name, left + (-8 if side == "end" else 8), lowest[side], side, "name"))
    return labels


def timeline_chart(bars: Sequence[Bar], width: float = 3 * WIDTH) -> Html:
    """Draw a bar a stage; long pauses are shortened, and marked."""
    place, pauses, busy = _without_pauses(bars)
    left, high = 264.0, 17.0
    x = scale(0.0, busy or 1.0, left, width - 66)
    height = high * len(bars) + 26
    parts = [svg_line(x(t), 2, x(t), height - 20, "bar") for t in pauses]
    for i, bar in enumerate(bars):
        start, end = place(bar.start), place(bar.end)
        style = f"fill c{COLOURS[bar.kind]}"
        took = numbers.seconds(bar.end - bar.start)
        tooltip = f"{bar.label}: {took}, from {numbers.seconds(bar.start)} after the first stage"
        y = 3 + high * i
        parts.append(svg_text(bar.label, left - 8, y + 10, "end", "name"))
        wide = max(1.5, x(end) - x(start))
        parts.append(shape("rect", tooltip, x=x(start), y=y + 1, width=wide, height=high - 4, class_=style))
        parts.append(svg_text(took, x(end) + 5, y + 10, "start"))
    whole = f"{numbers.seconds(bars[-1].end - bars[0].start)} from the first stage to the last"
    parts.append(svg_text(whole, left, height - 5, "start", "unit"))
    description = "; ".join(f"{b.label} {numbers.seconds(b.end - b.start)}" for b in bars)
    return svg_picture(parts, height, f"Stages over time: {description}", width)


def _without_pauses(bars: Sequence[Bar]) -> tuple[Callable[[float], float], list[float], float]:
    """Return the function from time to drawn time, the drawn times of pauses, and the drawn length."""
    spans: list[list[float]] = []
    for bar in sorted(bars, key=lambda b: b.start):
        if spans and bar.start <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], bar.end)
        else:
            spans.append([bar.start, bar.end])
    busy = sum(end - start for start, end in spans)
    cuts, pauses, gone = [(0.0, 0.0)], [], 0.0
    for (_, end), (start, _) in pairwise(spans):
        short = IDLE * busy
        if start - end > short:
            gone += start - end - short
            cuts.append((start, gone))
            pauses.append(end + short / 2 - (gone - (start - end - short)))
    last = spans[-1][1] - gone

    def place(time: float) -> float:
        return time - max(g for s, g in cuts if s <= time)

    return place, pauses, last
