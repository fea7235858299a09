"""Text from specs and data, made harmless: for any page, then for Markdown (HTML has `markup.py`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except tab and newline
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # marks and overrides that reorder what is read
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # halves of surrogate pairs and non-characters: not in valid UTF-8 text
)
MARKDOWN = re.compile(r"([\\`*{}|~$]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))")
"""Code, emphasis, tables, mathematics, and the end of what could be a link's text."""
STARTS = re.compile(r"^([-+#=/]|\d+(?=[.)](?:\s|$)))")
"""What makes a block of a line: list, heading, underline of a heading."""
LINKS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp):|\bwww\.")
"""What GitHub makes a link of without being asked."""
REFERENCES = re.compile(r"(?<![\w&])[#!~%^$](?=\w)|(?<=\w)[#!](?=\d)|&amp;(?=\d)|(?i:\bGH)-(?=\d)")
"""What GitHub and GitLab make a reference of, which is seen in the issue that it names: `#12`, `a/b#12`, `!7`, `GH-3`."""
ZERO = "\u200b"
"""A space without width: it is not seen, and what it parts is not recognised as a link, a list or somebody's name."""


def clean(text: str) -> str:
    """`text` without characters that break a page or deceive its reader; each becomes U+FFFD."""
    return HARMFUL.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def inline(text: str) -> str:
    """`text` on one line of Markdown, for a cell or a heading, where nothing of it is syntax: no link, tag or image."""
    flat = " ".join(clean(text).split())
    escaped = MARKDOWN.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    unlinked = LINKS.sub(lambda found: f"{found[0][:-1]}{ZERO}{found[0][-1]}", escaped)
    unnamed = REFERENCES.sub(lambda found: f"{found[0]}{ZERO}", unlinked)
    return unnamed.replace("@", f"@{ZERO}")


def line(text: str) -> str:
    """`inline` for the beginning of a line, where more is syntax."""
    return STARTS.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", inline(text))


def fence(text: str, language: str = "text") -> str:
    """`text` as a code block, fenced by more backticks than it has in a row."""
    body = clean(text).rstrip("\n")
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def piped(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table. Its first `words` columns hold words, the others numbers. Cells are escaped here."""
    marks = [":---" if i < words else "---:" for i in range(len(heads))]
    lines = [[inline(head) for head in heads], marks, *([inline(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
