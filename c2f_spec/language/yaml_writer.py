"""A variant's data → YAML text that reads back as the same data, and the place of each of its values.

An emitter of our own, because scalars are text here: `1e-5` and `no` are written as they were, and what YAML would take
for something else is quoted.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from c2f_spec.language.document import NULLS

if TYPE_CHECKING:
    from c2f_spec.language.document import Document, Loc

PLAIN = re.compile(r"(?:[A-Za-z0-9_./+]|-(?=[0-9.]))(?:[A-Za-z0-9_./+@-]| (?=[A-Za-z0-9(]))*")


def render_document(data: dict[str, Any]) -> str:
    """Block style, lists of scalars on one line, keys in their order."""
    return "".join(render_section(key, value) for key, value in data.items())


def render_section(key: str, value: Any) -> str:
    return "".join(f"{line}\n" for line in _field(key, value, ""))


def scalar(value: Any) -> str:
    """Plain where that is safe, else quoted."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{}"
    text = str(value)
    if PLAIN.fullmatch(text) and text not in NULLS and not text.startswith(("...", "---")):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _field(key: str, value: Any, indent: str) -> list[str]:
    name = f"{indent}{scalar(key)}:"
    if isinstance(value, dict) and value:
        return [name, *(line for k, v in value.items() for line in _field(k, v, f"{indent}  "))]
    if isinstance(value, list):
        return _list(name, value, f"{indent}  ")
    return [f"{name} {scalar(value)}"]


def _list(name: str, items: list[Any], indent: str) -> list[str]:
    if not any(isinstance(item, (dict, list)) and item for item in items):
        flow = ", ".join("[]" if isinstance(item, list) else scalar(item) for item in items)
        return [f"{name} [{flow}]"]
    lines = [name]
    for item in items:
        if isinstance(item, dict) and item:
            inner = [line for k, v in item.items() for line in _field(k, v, f"{indent}  ")]
            lines += [f"{indent}- {inner[0].lstrip()}", *inner[1:]]
        elif isinstance(item, list) and item:
            lines += _list(f"{indent}-", item, f"{indent}  ")
        else:
            lines.append(f"{indent}- {'[]' if isinstance(item, list) else scalar(item)}")
    return lines


def value_origins(document: Document) -> list[tuple[str, str, str]]:
    """`path`, value and `file:line:col` of every leaf."""
    return [
        (
            ".".join(map(str, loc)),
            scalar(value) if not isinstance(value, list) else "[]",
            str(document.values[loc]),
        )
        for loc, value in _leaves(document.data, ())
    ]


def _leaves(value: Any, loc: Loc) -> list[tuple[Loc, Any]]:
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in items for leaf in _leaves(inner, (*loc, key))]
    return [(loc, value)]
