"""Render blocks as Markdown: the page's twin for pull requests and terminals, without charts and pictures.

Text of specs and data never becomes syntax: in lines and cells it is escaped character by character, longer text is
fenced by more backticks than it contains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import blocks
from c2f_spec.report.markup import fence, inline, line

if TYPE_CHECKING:
    from collections.abc import Iterable


def render(document: blocks.Document) -> str:
    """Render a document. Equal documents give equal bytes."""
    footer = [blocks.Paragraph(document.footer)] if document.footer else []
    return render_blocks([blocks.Heading(document.title, 1), *document.blocks, *footer])


def render_blocks(content: Iterable[blocks.Block]) -> str:
    return "\n\n".join(_blocks(content)) + "\n"


def _blocks(content: Iterable[blocks.Block]) -> list[str]:
    return [part for block in content for part in _block(block)]


def _block(block: blocks.Block) -> list[str]:
    match block:
        case blocks.Heading():
            return [f"{'#' * block.level} {inline(block.text)}"]
        case blocks.Paragraph():
            return [line(block.text)]
        case blocks.Note():
            return [f"> {line(text)}" for text in block.lines]
        case blocks.Bullets():
            return ["\n".join(f"- {inline(text)}" for text in block.lines)]
        case blocks.Missing():
            return [line(block.state)]
        case blocks.Code():
            return [fence(block.text, block.language)]
        case blocks.Table():
            return [_table(block)]
        case blocks.Charts():
            return [_table(block.table)] if block.table and block.table.rows else []
        case blocks.Excerpt():
            return [f"**{inline(block.title)}**", f"> {line(block.quote)}", fence(block.body)]
        case blocks.Details():
            return [f"{'#' * block.level} {inline(block.summary)}", *_blocks(block.blocks)]
        case blocks.PageOnly() | blocks.Interactive():
            return []


def _table(table: blocks.Table) -> str:
    heads = [inline(f"{c.title} ({c.group})" if c.group else c.title) for c in table.columns]
    marks = ["---:" if c.kind == "number" else ":---" for c in table.columns]
    lines = [heads, marks]
    for row in table.rows:
        rest = [""] * (len(table.columns) - len(row.cells))
        lines.append([*(inline(_text(cell)) for cell in row.cells), *rest])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _text(cell: blocks.Cell) -> str:
    """Return all of a cell in one line; a second line in brackets goes on with the first."""
    upper = " ".join(filter(None, (cell.full or cell.text, cell.interval)))
    between = " " if cell.under.startswith("(") else ", "
    return between.join(filter(None, (upper, cell.under)))
