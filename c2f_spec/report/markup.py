"""HTML and SVG elements, escaped by construction: a plain string is always text, and only `el` makes markup."""

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
    """Markup that was made here."""

    __slots__ = ()


Child = str | None
VOID = frozenset({"meta", "img", "br", "line", "circle", "rect", "polyline", "polygon", "path"})


def el(element: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """One element. `class_` is `class`, other underscores are dashes; `None` leaves an attribute or a child out."""
    marks = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(_number(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Html(f"<{element}{marks}>" if element in ("meta", "img", "br") else f"<{element}{marks}/>")
    return Html(f"<{element}{marks}>{join(children)}</{element}>")


def svg_title(text: str) -> Html:
    """What a browser shows when the pointer rests on a shape."""
    return el("title", text)


def shape(name: str, title: str, **attributes: str | float | None) -> Html:
    """An SVG shape with words for the pointer."""
    empty = el(name, **attributes)
    return Html(f"{empty[:-2]}>{svg_title(title)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Html:
    """Children in a row, the plain strings among them escaped."""
    return Html(
        between.join(c if isinstance(c, Html) else escape(clean(c)) for c in children if c is not None)
    )


def _number(value: str | float) -> str:
    """Coordinates to a hundredth: finer is invisible and makes the page larger."""
    return (
        value
        if isinstance(value, str)
        else f"{round(value, 2) + 0.0:g}"
        if abs(value) < 1e5
        else f"{value:.0f}"
    )


# A whole page in one file: its policy, its style and script inside, and its data.
#
# No request leaves it: the policy allows nothing but the one style and the one script that are in it, by their hashes, and
# pictures that are in it. Data is text that no browser runs: base64 of compressed JSON, so that nothing in it can end its
# element, and read only when somebody looks at it. The same page for reports and for data sets.


NOWHERE = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:"
STYLES = ("page.css",)


def page(
    title: str, body: Iterable[Html | None], *, scripts: Sequence[str] = (), styles: Sequence[str] = STYLES
) -> str:
    """The page. `scripts` and `styles` are files beside this module; equal parts give equal bytes."""
    style, script = ("\n".join(_packaged(name) for name in names) for names in (styles, scripts))
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
    """What the page may do: show this style, run this script, and nothing else."""
    run = f"; script-src '{_hash(script)}'" if script else ""
    return f"{NOWHERE}; style-src '{_hash(style)}'{run}"


def data_block(name: str, value: Any) -> Html:
    """`value` as data of the page, for the script to read by `name` (`c2f.block` in rows.js)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 6)).decode()
    return el("script", Html(packed), id=name, type="text/plain")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _packaged(name: str) -> str:
    return files("c2f_spec.report").joinpath(name).read_text(encoding="utf-8")


# Text from specs and data, made harmless: for any page, then for Markdown (HTML has `markup.py`).


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
