"""The tables that the specs name or define, on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import paper_tables, table_files
from c2f_spec.report.markup import Html, el
from c2f_spec.report.page_parts import DASH, table
from c2f_spec.report.tables import PaperTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.report.model import Report
    from c2f_spec.report.tables import Grid


def tables(report: Report) -> list[Html]:
    """Each with its notes, and where its numbers come from."""
    parts = [el("h2", "Tables", id="tables")] if report.tables else []
    for one in report.tables:
        found = table_files.grid(one)
        parts.append(el("h3", f"{found.name}: {found.title}" if found.title else found.name))
        parts += [gridded(found), *(el("p", note, class_="about") for note in found.notes)]
        if found.cells:
            lines = table_files.sources(found)
            keys = [" ".join(s.key for s in cell.sources) for cell in table_files.once(found.cells)]
            rows = (_line(row, 3, key) for row, key in zip(lines, keys, strict=True))
            heads = [(h, "" if i < 3 else "n") for i, h in enumerate(table_files.SOURCE_HEADS)]
            parts.append(el("details", el("summary", "Where the numbers come from"), table(heads, rows)))
    of_paper = any(isinstance(one, PaperTable) for one in report.tables)
    return [*parts, el("p", paper_tables.EXPLAINED, class_="about")] if of_paper else parts


def gridded(found: Grid) -> Html:
    heads = [(head, "" if i < found.words else "n") for i, head in enumerate(found.heads)]
    return table(heads, [_line(row, found.words) for row in found.rows])


def _line(row: Sequence[str], words: int, key: str = "") -> Html:
    """`key` is shown by the pointer on the last cell, which names its stages."""
    last = len(row) - 1
    cells = [
        el("td", text) if i < words else _number(text, key if i == last else "")
        for i, text in enumerate(row[1:], start=1)
    ]
    return el("tr", el("th", row[0]), *cells)


def _number(text: str, key: str) -> Html:
    """What is in brackets after a number stands below it, so that a row fits a screen."""
    number, bracket, rest = text.translate(DASH).partition(" (")
    below = el("span", f"({rest}", class_="ci under") if bracket else None
    return el("td", f"{number} " if bracket else number, below, class_="n", title=key or None)
