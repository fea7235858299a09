"""Render blocks as one HTML page that needs nothing else: its policy allows no request, and all text is escaped."""

from __future__ import annotations

import base64
import re
from itertools import groupby
from typing import TYPE_CHECKING

from c2f_spec.report import blocks, charts
from c2f_spec.report.markup import Html, data_block, el, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


SCRIPTS = ("rows.js", "clip.js", "figures.js", "cases.js", "gallery.js")
"""Scripts in the order in which they depend on each other."""
SMOOTHING = ("rows.js", "figures.js")
STYLES = ("page.css", "rows.css", "cases.css")
MINUS = str.maketrans({"-": "\u2212"})
"""A minus sign is as wide as a digit."""
NEGATIVE = re.compile(r"(?<!\w)-(?=\d)")
WRAPS = {"": "", "wide": "words", "narrow": "test"}
NO_SCRIPT = "This part needs scripts; the page's own is the only one that may run."


def render(document: blocks.Document) -> str:
    """Render a page: its title, links to its headings, its blocks, and the data that its scripts read.

    Equal documents give equal bytes.
    """
    everything = list(_walk(document.blocks))
    links = [
        el("a", b.link, href=f"#{b.anchor}") for b in everything if isinstance(b, blocks.Heading) and b.link
    ]
    interactive = [b for b in everything if isinstance(b, blocks.Interactive)]
    wanted = {script for b in interactive for script in b.scripts}
    if any(isinstance(b, blocks.Charts) and b.layout == "smoothed" and b.figures for b in everything):
        wanted |= set(SMOOTHING)
    body: list[Html | None] = [
        el("h1", document.title),
        el("nav", *links) if links else None,
        *(part for block in document.blocks for part in _block(block)),
        el("footer", document.footer) if document.footer else None,
        *(data_block(name, value) for b in interactive for name, value in b.data()),
    ]
    scripts = tuple(script for script in SCRIPTS if script in wanted)
    return page(f"{document.title} · c2f-spec", body, scripts=scripts, styles=STYLES)


def _walk(content: Iterable[blocks.Block]) -> Iterator[blocks.Block]:
    for block in content:
        yield block
        if isinstance(block, blocks.Details | blocks.PageOnly):
            yield from _walk(block.blocks)


def _block(block: blocks.Block) -> list[Html]:
    match block:
        case blocks.Heading():
            return [el(f"h{block.level}", block.text, id=block.anchor or None)]
        case blocks.Paragraph():
            return [el("p", block.text, class_=block.style or None)]
        case blocks.Note():
            return [el("div", *(el("p", line) for line in block.lines), class_="note")]
        case blocks.Bullets():
            return [el("p", line, class_="about") for line in block.lines]
        case blocks.Missing():
            return [el("p", el("span", block.state, class_="state"))]
        case blocks.Code():
            return [el("pre", el("code", block.text.rstrip("\n")))]
        case blocks.Table():
            return [_table(block)]
        case blocks.Charts():
            return _charts(block)
        case blocks.Excerpt():
            return [_excerpt(block)]
        case blocks.Details():
            return [el("details", el("summary", block.summary), *_blocks(block.blocks))]
        case blocks.PageOnly():
            return _blocks(block.blocks)
        case blocks.Interactive():
            return [el("noscript", el("p", NO_SCRIPT, class_="about")), el("div", id=block.place)]


def _blocks(content: Iterable[blocks.Block]) -> list[Html]:
    return [part for block in content for part in _block(block)]


# Tables.


def _table(table: blocks.Table) -> Html:
    """Render a table that scrolls sideways where it is wider than the screen."""
    heads = el(
        "tr",
        *(el("th", c.title, class_=_classes(c), colspan="2" if c.interval else None) for c in table.columns),
    )
    rows, above = [], None
    for row in table.rows:
        rows.append(_row(row, above, table.columns))
        above = row
    return el(
        "div", el("table", el("thead", _groups(table.columns), heads), el("tbody", *rows)), class_="wide"
    )


def _groups(columns: Sequence[blocks.Column]) -> Html | None:
    """Return the row of titles over groups of columns, if any column is in one."""
    if not any(c.group for c in columns):
        return None
    groups = [(title, sum(1 + c.interval for c in own)) for title, own in groupby(columns, lambda c: c.group)]
    return el(
        "tr",
        *(el("th", title, class_="over first n" if title else "over", colspan=str(n)) for title, n in groups),
    )


def _row(row: blocks.Row, above: blocks.Row | None, columns: Sequence[blocks.Column]) -> Html:
    collapsed = _collapsed(row, above, columns)
    cells: list[Html] = []
    for i, (cell, column) in enumerate(zip(row.cells, columns, strict=False)):
        rest = columns[i:] if i == len(row.cells) - 1 else columns[i : i + 1]
        visible = blocks.Cell("") if i < collapsed else cell
        cells += _cell(
            visible, column, first=i == 0, span=sum(1 + c.interval for c in rest), ends=len(rest) > 1
        )
    style = " ".join(name for name, on in (("sub", row.minor), ("line", row.ruled)) if on)
    return el("tr", *cells, class_=style or None)


def _collapsed(row: blocks.Row, above: blocks.Row | None, columns: Sequence[blocks.Column]) -> int:
    """Return how many leading cells repeat the row above and are left empty."""
    count = sum(1 for c in columns if c.collapse)
    return count if above and count and row.cells[:count] == above.cells[:count] else 0


def _cell(cell: blocks.Cell, column: blocks.Column, *, first: bool, span: int, ends: bool) -> list[Html]:
    """Render a cell; a value and its interval are two, so that the digits of both stand below each other.

    `span` counts columns of the page. `ends`: the cell fills what is left of its row, and has room for words.
    """
    kind = cell.kind or column.kind
    text, interval, under = (cell.text, cell.interval, cell.under)
    if kind == "number":
        text, interval, under = (t.translate(MINUS) for t in (text, interval, under))
    inner: Html | str = text
    if kind == "code":
        inner = el("code", text, title=cell.full or None)
    elif kind == "state":
        inner = el("span", text, class_="state")
    number = column.kind == "number" and not ends
    roomy = ends or column.kind != "number"
    wrap = "words" if (kind == "state" and roomy) or (kind == "soft" and ends) else WRAPS[column.wrap]
    marks = (("first", column.apart), ("n", number), ("soft", kind == "soft"), (wrap, wrap))
    classes = " ".join(name for name, on in marks if on) or None
    two = column.interval and not ends
    beside = el("span", interval, class_="ci") if interval and not two else None
    lower = Html(f" {el('span', under, class_='ci under')}") if under else None
    if first:
        return [el("th", inner, beside, lower, class_=classes, title=cell.title or None)]
    value = el(
        "td", inner, beside, lower, class_=classes, title=cell.title or None,
        colspan=str(span) if ends else None,
    )  # fmt: skip
    return [value, el("td", interval, class_="n ci")] if two else [value]


def _classes(column: blocks.Column) -> str | None:
    marks = (("first", column.apart), ("n", column.kind == "number"))
    return " ".join(name for name, on in marks if on) or None


# Pictures.


def _charts(block: blocks.Charts) -> list[Html]:
    drawn = [_figure(figure) for figure in block.figures]
    if not drawn:
        return []
    if block.layout == "beside":
        return [el("div", *drawn, _table(block.table) if block.table else None, class_="beside")]
    if block.layout == "timeline":
        return [el("figure", figure.draw(), class_="wide timeline") for figure in block.figures]
    return [el("div", *drawn, class_="charts smoothed" if block.layout == "smoothed" else "charts")]


def _figure(figure: blocks.Figure) -> Html:
    return el(
        "figure",
        el("h4", figure.title) if figure.title else None,
        _legend(figure.legend, lines=figure.lines) if len(figure.legend) > 1 else None,
        figure.draw(),
        el("figcaption", NEGATIVE.sub("\u2212", figure.caption)) if figure.caption else None,
    )


def _legend(names: Sequence[str], *, lines: bool) -> Html:
    items = []
    for i, name in enumerate(names, start=1):
        style = f"{'line' if lines else 'fill'} c{charts.colour(i)}"
        swatch = (
            el("polyline", points="1,5 21,5", class_=style)
            if lines
            else el("rect", x=4, y=0, width=14, height=10, class_=style)
        )
        items.append(el("li", el("svg", swatch, viewBox="0 0 22 10", aria_hidden="true"), name))
    return el("ul", *items, class_="legend")


def _excerpt(excerpt: blocks.Excerpt) -> Html:
    if excerpt.picture is None:
        picture = el("div", excerpt.no_picture, class_="blank")
    else:
        data = base64.b64encode(excerpt.picture).decode()
        picture = el("img", src=f"data:image/jpeg;base64,{data}", alt=f"First picture of {excerpt.name}")
    words = (
        el("p", f"“{excerpt.quote}”", class_="quote"),
        el("p", excerpt.title, class_="facts"),
        el("pre", excerpt.body),
    )
    return el("div", el("div", picture), el("div", *words), class_="example")
