"""HTML and SVG elements, escaped by construction: a plain string is always text, and only `el` makes markup."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from c2f_spec.report.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable


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
