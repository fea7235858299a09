"""The results on the page: an overview of all data sets, a picture of Acc2, and every number of each data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import charts, numbers
from c2f_spec.report.columns import ACC2, CORR, VERDICT, Column, about, columns, explanation, models
from c2f_spec.report.markup import Html, el
from c2f_spec.report.page_parts import DASH, table

if TYPE_CHECKING:
    from c2f_spec.report.model import Learned, Report, Row, Section, Table


def results(section: Section, i: int) -> list[Html]:
    if not section.tables:
        return []
    parts = [el("h2" if i == 0 else "h3", "Results", id=f"results-{i}"), _overview(section)]
    parts.append(
        el("p", "Upper line Acc2 in percent, lower line Corr; both with 95 % intervals.", class_="about")
    )
    if section.learned:
        parts += [el("h3", "Did training help in-domain?"), _learned(section.learned)]
    parts += _picture(section)
    for one in section.tables:
        parts += [el("h3", one.data.name), el("p", about(one), class_="about"), _detail(one, section.policy)]
    return [*parts, el("p", explanation(section), class_="about")]


def verdicts(report: Report) -> list[Html]:
    """What was claimed before, and what became of it."""
    rows = [
        el(
            "tr",
            el("th", v.judgement),
            el("td", f"{v.name}: {v.claim}.", class_="words"),
            el("td", f"{v.numbers}. {v.written}".translate(DASH), class_="words"),
        )
        for v in report.verdicts
    ]
    heads = (("verdict", ""), ("hypothesis", ""), ("by", ""))
    return [el("h2", "Hypotheses", id="hypotheses"), table(heads, rows)] if rows else []


def _overview(section: Section) -> Html:
    """Models by data sets, grouped by domain."""
    groups: dict[str, int] = {}
    for one in section.tables:
        groups[one.data.domain] = groups.get(one.data.domain, 0) + 1
    above = el(
        "tr",
        el("th", class_="over"),
        *(el("th", d, class_="over first n", colspan=str(n)) for d, n in groups.items()),
    )
    heads = [("Acc2 / Corr", ""), *((t.data.name, "first n") for t in section.tables)]
    rows = []
    for row in models(section):
        cells = [_pair(t.row(row.model)) for t in section.tables]
        rows.append(el("tr", el("th", row.model), *cells, class_="sub" if row.group == "baseline" else None))
    bars = (el("td", numbers.percent(t.majority), class_="first n") for t in section.tables)
    rows.append(el("tr", el("th", "majority class"), *bars, class_="sub line"))
    return table(heads, rows, above)


def _pair(row: Row | None) -> Html:
    if row is None or row.state:
        return el("td", el("span", row.state, class_="state") if row else None, class_="first n")
    (acc2, around), (corr, near) = ACC2.cell(row), CORR.cell(row)
    lower = el("span", f"{corr} {near}".strip().translate(DASH), class_="ci under")
    return el("td", acc2, el("span", around, class_="ci"), lower, class_="first n")


def _detail(one: Table, policy: str) -> Html:
    shown = columns(one, policy)
    rows = []
    for row in one.rows:
        cells = (
            _cells(row, shown)
            if not row.state
            else [
                el(
                    "td",
                    el("span", row.state, class_="state"),
                    colspan=str(len(shown) + sum(c.bounds for c in shown)),
                )
            ]
        )
        rows.append(el("tr", el("th", row.model), *cells, class_="sub" if row.group == "baseline" else None))
    known = {ACC2: numbers.percent(one.majority), shown[-1]: numbers.count(one.n)}
    last = [
        cell
        for c in shown
        for cell in (el("td", known.get(c, ""), class_="n"), el("td") if c.bounds else None)
    ]
    rows.append(el("tr", el("th", "majority class"), *last, class_="sub line"))
    return table([("", ""), *map(_head, shown)], rows)


def _head(column: Column) -> Html:
    return el("th", column.title, class_="n", colspan="2" if column.bounds else None)


def _cells(row: Row, shown: tuple[Column, ...]) -> list[Html]:
    """A value and its interval are two cells, so that the digits of both stand below each other."""
    cells = []
    for column in shown:
        value, around = column.cell(row)
        cells.append(el("td", value.translate(DASH), class_="n"))
        cells += [el("td", around.translate(DASH), class_="n ci")] if column.bounds else []
    return cells


def _learned(found: tuple[Learned, ...]) -> Html:
    heads = (
        ("checkpoint", ""),
        ("against", ""),
        ("gain in Acc2, points", "n"),
        ("95 % interval", "n"),
        ("", ""),
    )
    rows = []
    for one in found:
        if one.state:
            rows.append(
                el("tr", el("th", one.model), el("td", el("span", one.state, class_="state"), colspan="4"))
            )
        for c in one.comparisons:
            gain, bounds = numbers.points(c.delta), numbers.interval(c.interval, numbers.points)
            verdict = el("td", VERDICT[c.excludes_zero], class_=None if c.excludes_zero else "soft")
            cells = (el("td", text.translate(DASH), class_="n") for text in (gain, bounds))
            rows.append(el("tr", el("th", one.model), el("td", c.over), *cells, verdict))
    return table(heads, rows)


def _picture(section: Section) -> list[Html]:
    """Acc2 of every model, one chart a data set, all on one scale."""
    values = [t.majority for t in section.tables if t.majority is not None]
    for row in (r for t in section.tables for r in t.rows if r.scores):
        values += [
            v
            for v in (row.scores["Acc2"], *((row.scores.get("intervals") or {}).get("Acc2") or ()))
            if v is not None
        ]
    if not values:
        return []
    scale = charts.ticks(100 * min(values), 100 * max(values))
    figures = [
        el(
            "figure",
            el("h4", t.data.name),
            charts.dot_chart(t, scale[0], scale[-1]),
            el("figcaption", t.data.domain),
        )
        for t in section.tables
        if any(r.scores for r in t.rows)
    ]
    note = "Dot and line: Acc2 and its 95 % interval. Dashed: the majority class. Grey: linear baselines. One scale."
    return [el("h3", "Acc2 at a glance"), el("p", note, class_="about"), el("div", *figures, class_="charts")]
