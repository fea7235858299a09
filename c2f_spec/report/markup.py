"""Build HTML, SVG and Markdown from any text, escaped by construction.

In HTML a plain string is always text, and only `el` makes markup. A page is one file with its policy, style, script and
data inside. No request leaves it: the policy allows nothing but the one style and the one script that are in it, by their
hashes, and pictures that are in it. In Markdown text is escaped by `inline`, `line` and `fence`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Html(str):
    """Markup from `el`; any other string is text and is escaped."""

    __slots__ = ()


Child = str | None
VOID = frozenset({"meta", "img", "br", "line", "circle", "rect", "polyline", "polygon", "path"})
NOWHERE = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:"
STYLES = ("page.css",)
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except tab and newline
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # marks and overrides that reorder what is read
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"  # halves of surrogate pairs and non-characters: not in valid UTF-8 text
)
MARKDOWN = re.compile(r"([\\`*{}|~$]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))")
"""Syntax of code, emphasis, tables, mathematics, and the end of what could be a link's text."""
STARTS = re.compile(r"^([-+#=/]|\d+(?=[.)](?:\s|$)))")
"""Syntax that makes a line a list, a heading, or the underline of a heading."""
LINKS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp):|\bwww\.")
"""Text that GitHub turns into a link by itself."""
REFERENCES = re.compile(r"(?<![\w&])[#!~%^$](?=\w)|(?<=\w)[#!](?=\d)|&amp;(?=\d)|(?i:\bGH)-(?=\d)")
"""Text that GitHub and GitLab turn into a reference, visible in the issue it names: `#12`, `a/b#12`, `!7`, `GH-3`."""
ZERO = "\u200b"
"""A space without width: invisible, and what it parts is not recognised as a link, a list or a user name."""


def el(element: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """Return one element. `class_` is `class`, other underscores are dashes; `None` leaves an attribute or a child out."""
    marks = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(_number(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Html(f"<{element}{marks}>" if element in ("meta", "img", "br") else f"<{element}{marks}/>")
    return Html(f"<{element}{marks}>{join(children)}</{element}>")


def shape(name: str, title: str, **attributes: str | float | None) -> Html:
    """Return an SVG shape with a title for the pointer."""
    empty = el(name, **attributes)
    return Html(f"{empty[:-2]}>{el('title', title)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Html:
    """Join children, the plain strings among them escaped."""
    return Html(
        between.join(c if isinstance(c, Html) else escape(clean(c)) for c in children if c is not None)
    )


def _number(value: str | float) -> str:
    """Round coordinates to a hundredth: finer is invisible and makes the page larger."""
    return (
        value
        if isinstance(value, str)
        else f"{round(value, 2) + 0.0:g}"
        if abs(value) < 1e5
        else f"{value:.0f}"
    )


def page(
    title: str, body: Iterable[Html | None], *, scripts: Sequence[str] = (), styles: Sequence[str] = STYLES
) -> str:
    """Return the page. `scripts` and `styles` are files beside this module; equal parts give equal bytes."""
    folder = files("c2f_spec.report")
    style, script = (
        "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
        for names in (styles, scripts)
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy(style, script)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(style)),
    )
    run = el("script", Html(script)) if script else None
    return f"<!doctype html>\n{el('html', head, el('body', join([*body, run], chr(10))), lang='en')}\n"


def policy(style: str, script: str) -> str:
    """Return the content security policy: the page may use this style, run this script, and nothing else."""
    run = f"; script-src '{_hash(script)}'" if script else ""
    return f"{NOWHERE}; style-src '{_hash(style)}'{run}"


def data_block(name: str, value: Any) -> Html:
    """Return `value` as data of the page, which a script reads by `name` (`c2f.block` in rows.js).

    No browser runs it: it is base64 of compressed JSON, so that nothing in it can end its element.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 6)).decode()
    return el("script", Html(packed), id=name, type="text/plain")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def clean(text: str) -> str:
    """Return `text` without characters that break a page or deceive its reader; each becomes U+FFFD."""
    return HARMFUL.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def inline(text: str) -> str:
    """Return `text` as one line of Markdown, for a cell or a heading, with no syntax left: no link, tag or image."""
    flat = " ".join(clean(text).split())
    escaped = MARKDOWN.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    unlinked = LINKS.sub(lambda found: f"{found[0][:-1]}{ZERO}{found[0][-1]}", escaped)
    unnamed = REFERENCES.sub(lambda found: f"{found[0]}{ZERO}", unlinked)
    return unnamed.replace("@", f"@{ZERO}")


def line(text: str) -> str:
    """Escape as `inline`, and also what is syntax at the beginning of a line only."""
    return STARTS.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", inline(text))


def fence(text: str, language: str = "text") -> str:
    """Return `text` as a code block, fenced by more backticks than it has in a row."""
    body = clean(text).rstrip("\n")
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"
