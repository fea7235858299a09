"""A comment on a pull request: it is found by a hidden marker, updated in place, and has a largest size.

Cells of tables are escaped here, and lines of text by whoever writes them (`report.markup`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import shorten
from c2f_spec.report.markup import inline

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 65_536
"""GitHub takes as many characters, and no character has less than a byte."""
MAX_CELL = 200
"""Characters of a spec's text in one cell."""


class Table(NamedTuple):
    """A block that may lose rows when there is no room for all."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    """Plain text."""
    summary: str = ""
    """The line below which the table is folded; empty for a table that is open."""


def render_comment(marker: str, blocks: Sequence[str | Table]) -> str:
    """Return `blocks` of finished Markdown, and tables, in at most `MAX_BYTES`. Rows without room are counted."""
    head = f"<!-- c2f-spec:{marker} -->\n"
    words = sum(len(b.encode()) + 2 for b in blocks if isinstance(b, str))
    room = MAX_BYTES - len(head) - words - sum(_frame_bytes(b) for b in blocks if isinstance(b, Table))
    parts = []
    for block in blocks:
        if isinstance(block, Table):
            text, used = _render_table(block, room)
            room -= used
            parts.append(text)
        else:
            parts.append(block)
    return head + "\n\n".join(parts) + "\n"


def _render_table(table: Table, room: int) -> tuple[str, int]:
    """Return the table, and the bytes that its rows take."""
    lines, used = [], 0
    for row in table.rows:
        line = _render_row(row)
        size = len(line.encode()) + 1
        if used + size > room:
            break
        used += size
        lines.append(line)
    left = len(table.rows) - len(lines)
    text = "\n".join([_render_row(table.heads), f"|{' --- |' * len(table.heads)}", *lines])
    if left:
        text += f"\n\n… and {left:,} more, for which a comment has no room."
    if table.summary:
        text = f"<details><summary>{inline(table.summary)}</summary>\n\n{text}\n\n</details>"
    return text, used


def _frame_bytes(table: Table) -> int:
    """Return the bytes of a table beside its rows, at most."""
    heads = len(_render_row(table.heads).encode()) + 8 * len(table.heads)
    return heads + len(inline(table.summary).encode()) + 200


def _render_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(inline(shorten(cell, MAX_CELL)) for cell in cells)} |"
