"""Pictures of errors, shifts and time as inline SVG, 360 units wide like the curves (`svg.py`)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from c2f_spec.report import numbers
from c2f_spec.report.markup import Html, join, shape
from c2f_spec.report.svg import WIDTH, colour, drawn, rule, scale, ticks, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.metrics.errors_by_class import Calibration, Confusion
    from c2f_spec.report.views import Bar, Shift

COLOURS = {
    "prepare": 6,
    "distil": 5,
    "filter": 5,
    "sft": 4,
    "merge": 4,
    "grpo": 2,
    "evaluate": 1,
    "baseline": 3,
}
"""Of kinds of stages: what is made before training, training, and what looks at it, told apart."""
NAME = 13.0
"""Least distance between two names, from line to line."""
IDLE = 0.04
"""A pause between stages that is longer than this share of the busy time is drawn as long as this."""


def confusion(found: Confusion, title: str) -> Html:
    """Rows are labels, columns answers, the last those without a score; the darker, the larger the share of the row."""
    k = len(found.classes)
    left, top, high = 74.0, 30.0, 26.0
    wide = (WIDTH - left - 4) / (k + 1)
    heads = [*found.classes, "none"]
    parts = [words("answered", left, 11, "start", "unit")]
    parts += [words(head, left + wide * (j + 0.5), 25, "middle") for j, head in enumerate(heads)]
    for i, (name, row) in enumerate(zip(found.classes, found.counts, strict=True)):
        y, total = top + high * i, sum(row)
        parts.append(words(name, left - 6, y + high / 2 + 4, "end", "name"))
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            says = (
                f"labelled {name}, answered {heads[j]}: {count:,} of {total:,} ({numbers.percent(share)} %)"
            )
            opacity, strong = shade(share)
            style = f"cell {'c3' if i == j else 'c2'}"
            parts.append(
                shape(
                    "rect", says, x=left + wide * j, y=y, width=wide - 2, height=high - 2,
                    class_=style, fill_opacity=opacity,
                )
            )  # fmt: skip
            parts.append(words(f"{count:,}", left + wide * (j + 0.5), y + high / 2 + 3, "middle", strong))
    said = "; ".join(
        f"{n}: {', '.join(map(str, row))}" for n, row in zip(found.classes, found.counts, strict=True)
    )
    return drawn(parts, top + high * k + 4, f"{title}. Rows are labels, columns answers. {said}")


def shade(share: float) -> tuple[float, str]:
    """How full the cell of a share of the row is drawn, and the style of its count, which must be legible on it."""
    return round(0.06 + 0.8 * share, 2), "on" if share > 0.65 else "name"


def calibrated(found: Calibration, low: float, high: float, title: str) -> Html:
    """Mean label over mean score of each part of the scale; a calibrated model lies on the dashed line."""
    left, bottom, height = 40.0, 34.0, 248.0
    x, y = scale(low, high, left, WIDTH - 12), scale(low, high, height - bottom, 24)
    parts = [
        join((rule(left, y(t), WIDTH - 12, y(t), "grid"), words(numbers.plain(t), left - 6, y(t) + 4, "end")))
        for t in ticks(low, high)
        if low <= t <= high
    ]
    parts += [
        words(numbers.plain(t), x(t), height - bottom + 15, "middle")
        for t in ticks(low, high)
        if low <= t <= high
    ]
    parts.append(rule(x(low), y(low), x(high), y(high), "bar"))
    most = max((b.clips for b in found.bins), default=1)
    for b in found.bins:
        at, label = x(max(low, min(high, b.score))), max(low, min(high, b.label))
        if b.error:
            ends = (y(max(low, label - b.error)), y(min(high, label + b.error)))
            parts.append(rule(at, ends[0], at, ends[1], "whisker c1"))
        says = f"{b.clips:,} clips with a score near {b.score:.2f}: mean label {b.label:.2f} ± {b.error:.2f}"
        parts.append(
            shape("circle", says, cx=at, cy=y(label), r=2.5 + 5 * (b.clips / most) ** 0.5, class_="dot c1")
        )
    parts += [
        words("mean score", WIDTH - 12, height - 3, "end", "unit"),
        words("mean label", 2, 9, "start", "unit"),
    ]
    said = "; ".join(f"score {b.score:.2f}, label {b.label:.2f}, {b.clips} clips" for b in found.bins)
    return drawn(parts, height, f"{title}. {said}")


def shifted(found: Sequence[Shift]) -> Html:
    """In-domain against out-of-domain Acc2; on the dashed line nothing is lost."""
    values = [100 * v for s in found for v in (s.inside, s.outside)]
    marks = ticks(min(values), max(values))
    low, high = marks[0], marks[-1]
    left, bottom, height = 40.0, 34.0, 248.0
    x, y = scale(low, high, left, WIDTH - 14), scale(low, high, height - bottom, 24)
    parts = [
        join(
            (
                rule(left, y(t), WIDTH - 14, y(t), "grid"),
                words(numbers.plain(t), left - 6, y(t) + 4, "end"),
                words(numbers.plain(t), x(t), height - bottom + 15, "middle"),
            )
        )
        for t in marks
    ]
    parts.append(rule(x(low), y(low), x(high), y(high), "bar"))
    groups = list(dict.fromkeys(s.group for s in found))
    for s in found:
        at = (x(100 * s.inside), y(100 * s.outside))
        says = f"{s.group}, {s.checkpoint}: in-domain {numbers.percent(s.inside)} %, out-of-domain {numbers.percent(s.outside)} %"
        style = f"dot c{colour(groups.index(s.group) + 1)}"
        parts.append(shape("circle", says, cx=at[0], cy=at[1], r=4.5, class_=style))
    parts += _names([(x(100 * s.inside), y(100 * s.outside), s.checkpoint) for s in found])
    parts += [
        words("in-domain, %", WIDTH - 14, height - 3, "end", "unit"),
        words("out-of-domain, %", 2, 9, "start", "unit"),
    ]
    said = "; ".join(
        f"{s.group} {s.checkpoint} {numbers.percent(s.inside)} and {numbers.percent(s.outside)}"
        for s in found
    )
    return drawn(parts, height, f"Acc2 in-domain and out-of-domain: {said}")


def _names(points: Sequence[tuple[float, float, str]]) -> list[Html]:
    """Beside its point each, on the side where there is room, and none on another's line."""
    made, lowest = [], {"start": 0.0, "end": 0.0}
    for left, top, name in sorted(points, key=lambda point: point[1]):
        side = "end" if left > WIDTH * 0.7 else "start"
        lowest[side] = max(top + 4, lowest[side] + NAME)
        made.append(words(name, left + (-8 if side == "end" else 8), lowest[side], side, "name"))
    return made


def timeline(bars: Sequence[Bar], width: float = 3 * WIDTH) -> Html:
    """A line a stage; long pauses are shortened, and marked."""
    place, pauses, busy = _without_pauses(bars)
    left, high = 264.0, 17.0
    x = scale(0.0, busy or 1.0, left, width - 66)
    height = high * len(bars) + 26
    parts = [rule(x(t), 2, x(t), height - 20, "bar") for t in pauses]
    for i, bar in enumerate(bars):
        start, end = place(bar.start), place(bar.end)
        style = f"fill c{COLOURS[bar.kind]}"
        took = numbers.seconds(bar.end - bar.start)
        says = f"{bar.label}: {took}, from {numbers.seconds(bar.start)} after the first stage"
        y = 3 + high * i
        parts.append(words(bar.label, left - 8, y + 10, "end", "name"))
        parts.append(
            shape(
                "rect",
                says,
                x=x(start),
                y=y + 1,
                width=max(1.5, x(end) - x(start)),
                height=high - 4,
                class_=style,
            )
        )
        parts.append(words(took, x(end) + 5, y + 10, "start"))
    parts.append(
        words(
            f"{numbers.seconds(bars[-1].end - bars[0].start)} from the first stage to the last",
            left,
            height - 5,
            "start",
            "unit",
        )
    )
    said = "; ".join(f"{b.label} {numbers.seconds(b.end - b.start)}" for b in bars)
    return drawn(parts, height, f"Stages over time: {said}", width)


def _without_pauses(bars: Sequence[Bar]) -> tuple[Callable[[float], float], list[float], float]:
    """A time as it is drawn, where pauses are drawn, and the length of all."""
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
