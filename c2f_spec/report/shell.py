"""A whole page in one file: its policy, its style and script inside, and its data.

No request leaves it: the policy allows nothing but the one style and the one script that are in it, by their hashes, and
pictures that are in it. Data is text that no browser runs: base64 of compressed JSON, so that nothing in it can end its
element, and read only when somebody looks at it. The same page for reports and for data sets.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from c2f_spec.report.markup import Html, el, join

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


def block(name: str, value: Any) -> Html:
    """`value` as data of the page, for the script to read by `name` (`c2f.block` in rows.js)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packed = base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 6)).decode()
    return el("script", Html(packed), id=name, type="text/plain")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _packaged(name: str) -> str:
    return files("c2f_spec.report").joinpath(name).read_text(encoding="utf-8")
