"""Answers as one comment on a pull request: it is updated in place, found by a hidden marker, and has a largest size.

Cells are escaped here, and lines of words by whoever writes them (`report.text`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import shorten
from c2f_spec.report.markup import inline

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 65_536
"""Bytes: what GitHub takes is as many characters, and no character has less than a byte."""
CELL = 200
"""Characters of text of a spec in one cell."""


class Table(NamedTuple):
    """A block that may lose rows when there is no room for all."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    """Plain text."""
    summary: str = ""
    """Folded below these words, if there are any."""


def comment(marker: str, blocks: Sequence[str | Table]) -> str:
    """`blocks` of finished Markdown, and tables. Rows that find no room are counted; never more than `MOST` bytes."""
    head = f"<!-- c2f-spec:{marker} -->\n"
    words = sum(len(b.encode()) + 2 for b in blocks if isinstance(b, str))
    room = MOST - len(head) - words - sum(_frame(b) for b in blocks if isinstance(b, Table))
    parts = []
    for block in blocks:
        if isinstance(block, str):
            parts.append(block)
            continue
        drawn, used = _drawn(block, room)
        room -= used
        parts.append(drawn)
    return head + "\n\n".join(parts) + "\n"


def _drawn(block: Table, room: int) -> tuple[str, int]:
    """The table, and the bytes that its rows take."""
    lines, used = [], 0
    for row in block.rows:
        line = _line(row)
        used += len(line.encode()) + 1
        if used > room:
            used -= len(line.encode()) + 1
            break
        lines.append(line)
    left = len(block.rows) - len(lines)
    text = "\n".join([_line(block.heads), f"|{' --- |' * len(block.heads)}", *lines])
    if left:
        text += f"\n\n… and {left:,} more, for which a comment has no room."
    if block.summary:
        text = f"<details><summary>{inline(block.summary)}</summary>\n\n{text}\n\n</details>"
    return text, used


def _frame(block: Table) -> int:
    """Bytes of a table beside its rows, at most."""
    heads = len(_line(block.heads).encode()) + 8 * len(block.heads)
    return heads + len(inline(block.summary).encode()) + 200


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(inline(shorten(cell, CELL)) for cell in cells)} |"
