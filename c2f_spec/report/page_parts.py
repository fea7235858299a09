"""Parts of the page below the results: filters, curves, examples."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from c2f_spec.report import charts, numbers
from c2f_spec.report.markup import Html, el, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.report.model import Chart, Curves, Example, Examples, Funnel


DASH = str.maketrans({"-": "\u2212"})
"""A minus sign is as wide as a digit."""


def table(heads: Sequence[tuple[str, str] | Html], rows: Iterable[Html], above: Html | None = None) -> Html:
    """A table that scrolls sideways if it must; a head is its words and class, or an element."""
    first = el("tr", *(h if isinstance(h, Html) else el("th", h[0], class_=h[1] or None) for h in heads))
    return el("div", el("table", el("thead", above, first), el("tbody", *rows)), class_="wide")


def missing(state: str) -> Html:
    return el("p", el("span", state, class_="state"))


def legend(names: Sequence[str], shape: str) -> Html:
    """`shape` is `line` or `fill`."""
    items = []
    for i, name in enumerate(names, start=1):
        style = f"{shape} c{charts.colour(i)}"
        swatch = (
            el("polyline", points="1,5 21,5", class_=style)
            if shape == "line"
            else el("rect", x=4, y=0, width=14, height=10, class_=style)
        )
        items.append(el("li", el("svg", swatch, viewBox="0 0 22 10", aria_hidden="true"), name))
    return el("ul", *items, class_="legend")


def funnel(found: Funnel) -> list[Html]:
    if found.state:
        return [missing(found.state)]
    filters = found.filters
    note = "Chains of thought that the teacher wrote, by the polarity of the label, and the filter that dropped each."
    heads = [("label", ""), ("in", "n"), ("kept", "n"), ("kept, %", "n"), *((f, "n") for f in filters)]
    rows = []
    for row in found.rows:
        share = numbers.percent(row.kept / row.entered if row.entered else None)
        values = (numbers.count(row.entered), numbers.count(row.kept), share)
        lost = (numbers.count(row.dropped.get(f, 0)) for f in filters)
        rows.append(el("tr", el("th", row.name), *(el("td", v, class_="n") for v in (*values, *lost))))
    chart = el("figure", legend(["kept", *filters], "fill"), charts.funnel_chart(found.rows, filters))
    return [el("p", note, class_="about"), el("div", chart, table(heads, rows), class_="beside")]


def curves(found: tuple[Curves, ...]) -> list[Html]:
    parts = []
    for stage in found:
        parts.append(el("h3", stage.title))
        if stage.state:
            parts.append(missing(stage.state))
        parts.append(
            el("div", *(_chart(c) for c in stage.charts), class_="charts smoothed")
            if stage.charts
            else Html()
        )
    return parts


def _chart(chart: Chart) -> Html:
    names = [s.name for s in chart.series]
    key = legend(names, "line") if len(names) > 1 else None
    note = el("figcaption", chart.note.strip()) if chart.note.strip() else None
    return el("figure", el("h4", chart.title), key, charts.line_chart(chart), note)


def examples(found: tuple[Examples, ...]) -> list[Html]:
    parts = []
    for group in found:
        parts += [el("h3", group.title), el("p", group.note, class_="about")]
        parts.append(missing(group.state) if group.state else join(_example(e) for e in group.examples))
    return parts


def _example(e: Example) -> Html:
    if e.jpeg is None:
        picture = el("div", e.no_picture, class_="blank")
    else:
        data = base64.b64encode(e.jpeg).decode()
        picture = el("img", src=f"data:image/jpeg;base64,{data}", alt=f"First picture of clip {e.id}")
    rated = f"{e.id}, rated {numbers.label(e.label)} ({e.polarity}): {e.verdict}"
    words = (
        el("p", f"“{e.text}”", class_="quote"),
        el("p", rated, class_="verdict"),
        el("pre", e.body or "(empty)"),
    )
    return el("div", el("div", picture), el("div", *words), class_="example")
