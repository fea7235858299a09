"""What the stages took, and when they ran, on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import charts, numbers
from c2f_spec.report.markup import Html, el
from c2f_spec.report.model import KindCost
from c2f_spec.report.page_parts import table

if TYPE_CHECKING:
    from c2f_spec.report.model import Report

HEADS = (
    "kind", "stages", "done", "wall time", "if nothing were shared", "GPU-hours", "peak memory, MB", "of a GPU, MB",
    "tokens/s",
)  # fmt: skip


def spent(report: Report) -> list[Html]:
    """Cost by kind of stage, and the timeline."""
    if not report.timeline:
        return []
    rows = [_row(c) for c in (*report.costs, total(report))]
    heads = [(h, "n" if i else "") for i, h in enumerate(HEADS)]
    note = (
        "Of stages that are done, by their records: a stage that several experiments share is counted once."
    )
    chart = el("figure", charts.timeline(report.timeline), class_="wide timeline")
    return [
        el("h2", "Cost", id="cost"),
        el("p", note, class_="about"),
        table(heads, rows),
        el("h3", "Timeline"),
        chart,
    ]


def total(report: Report) -> KindCost:
    """All kinds together."""
    found = report.costs
    peaks = [c.peak_mb for c in found if c.peak_mb is not None]
    gpus = [c.gpu_mb for c in found if c.gpu_mb is not None]
    return KindCost(
        "all",
        sum(c.stages for c in found),
        sum(c.done for c in found),
        sum(c.seconds for c in found),
        sum(c.gpu_hours for c in found),
        max(peaks, default=None),
        sum(c.unshared for c in found),
        max(gpus, default=None),
    )


def texts(c: KindCost) -> tuple[str, ...]:
    """A line of the table."""
    return (
        c.kind,
        numbers.count(c.stages),
        numbers.count(c.done),
        numbers.seconds(c.seconds),
        numbers.seconds(c.unshared),
        f"{c.gpu_hours:.2f}",
        numbers.count(c.peak_mb),
        numbers.count(c.gpu_mb),
        numbers.count(c.tokens_per_second),
    )


def _row(c: KindCost) -> Html:
    told = texts(c)
    return el(
        "tr",
        el("th", told[0]),
        *(el("td", text, class_="n") for text in told[1:]),
        class_="line" if c.kind == "all" else None,
    )
