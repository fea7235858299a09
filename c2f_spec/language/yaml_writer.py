r"""Write plain data as YAML that reads back as the same data: expanded specs, and manifests of Kubernetes.

Both have block style and keep the order of keys; nothing is folded or sorted. They differ in `Style`:

- A spec is read by `document`, where scalars are text: `1e-5` and `no` stand as they were written. Lists of scalars are
  on one line.
- A manifest is read by every parser, whether it follows YAML 1.1 or 1.2: only text that begins with a letter and holds
  nothing special stands plain. All other text is in double quotes with JSON's escapes, which are YAML's too; beyond the
  first plane YAML wants `\U0001f600` where JSON has two surrogates. Several lines of plain ASCII (the script of
  `boot.py`) stand as they are, below `|`. PyYAML takes ten times as long, and writes the text `1e-5` so that
  Kubernetes reads a number.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from c2f_spec.language.document import NULLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.diagnostics.diagnostic import Loc
    from c2f_spec.language.document import Document

SPEC_PLAIN = re.compile(r"(?:[A-Za-z0-9_./+]|-(?=[0-9.]))(?:[A-Za-z0-9_./+@-]| (?=[A-Za-z0-9(]))*")
MANIFEST_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:-]*\Z")
YAML_1_1_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that YAML 1.1 reads as something else than text."""
BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
LONGEST_KEY = 1000
"""Characters of a key as written; YAML's readers look no further than 1,024 for the colon."""
LONGEST_CACHED = 200
"""Characters of a text whose quoted form is cached: names and labels repeat in a thousand manifests."""


@dataclass(frozen=True, slots=True)
class Style:
    """How scalars, keys and lists are written."""

    scalar: Callable[[Any], str]
    key: Callable[[str], str]
    list_indent: str
    """Indentation of a list's items below their key."""
    flow_lists: bool
    """Lists of scalars stand on one line."""
    literal_blocks: bool
    """Text of several lines stands below `|`."""


def render_spec(data: dict[str, Any]) -> str:
    """Return the text of a spec."""
    return "".join(render_section(key, value) for key, value in data.items())


def render_section(key: str, value: Any) -> str:
    """Return the lines of one field of a spec and of everything below it."""
    return _render({key: value}, SPEC)


def render_manifests(objects: list[dict[str, Any]]) -> str:
    """Return a file of several documents.

    Raises `TypeError` for values that JSON does not have, `ValueError` for a key that is too long to be read back.
    """
    return "".join(f"---\n{render_manifest(item)}" for item in objects)


def render_manifest(item: dict[str, Any]) -> str:
    """Return the text of one object. Raises as `render_manifests` does."""
    return _render(item, MANIFEST)


def _render(data: dict[str, Any], style: Style) -> str:
    out: list[str] = []
    _write_map(data, out, "", style)
    return "\n".join(out) + "\n"


def _write_map(values: dict[str, Any], out: list[str], indent: str, style: Style) -> None:
    for key, value in values.items():
        name = f"{indent}{style.key(key)}:"
        if value and isinstance(value, dict):
            out.append(name)
            _write_map(value, out, f"{indent}  ", style)
        elif value and isinstance(value, list) and not _is_flow(value, style):
            out.append(name)
            _write_list(value, out, f"{indent}{style.list_indent}", style)
        elif style.literal_blocks and isinstance(value, str) and value[-1:] == "\n" and _is_lines(value):
            out.append(f"{name} {_literal_block(value, indent)}")
        else:
            out.append(f"{name} {_write_inline(value, style)}")


def _write_list(values: list[Any], out: list[str], indent: str, style: Style) -> None:
    inner = f"{indent}  "
    for value in values:
        start = len(out)
        if value and isinstance(value, dict):
            _write_map(value, out, inner, style)
        elif value and isinstance(value, list) and not _is_flow(value, style):
            _write_list(value, out, inner, style)
        else:
            out.append(f"{inner}{_write_inline(value, style)}")
        out[start] = f"{indent}- {out[start][len(inner) :]}"


def _is_flow(values: list[Any], style: Style) -> bool:
    return style.flow_lists and not any(isinstance(item, (dict, list)) and item for item in values)


def _write_inline(value: Any, style: Style) -> str:
    """Return a scalar, an empty map or list, or a list of these, on one line."""
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return f"[{', '.join(_write_inline(item, style) for item in value)}]"
    return style.scalar(value)


def _spec_scalar(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value)
    if SPEC_PLAIN.fullmatch(text) and text not in NULLS and not text.startswith(("...", "---")):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(c) for c in quoted)


def _manifest_scalar(value: Any) -> str:
    if isinstance(value, str):
        return _quote_cached(value) if len(value) <= LONGEST_CACHED else _quote(value)
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} is not supported in a manifest: {value!r}")


def _manifest_key(key: str) -> str:
    name = _manifest_scalar(key)
    if len(name) > LONGEST_KEY:
        raise ValueError(f"a key of {len(name):,} characters cannot be written: {name[:60]}...")
    return name


def _quote(text: str) -> str:
    if MANIFEST_PLAIN.match(text) and text.lower() not in YAML_1_1_WORDS and text[-1] != ":":
        return text
    return BEYOND_ASCII.sub(lambda match: _escape(match[0], shortest=4), json.dumps(text, ensure_ascii=False))


_quote_cached = lru_cache(maxsize=100_000)(_quote)


def _escape(character: str, shortest: int = 2) -> str:
    """Return a YAML escape with at least `shortest` hex digits."""
    code = ord(character)
    if code < 256 and shortest == 2:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _is_lines(text: str) -> bool:
    """Return whether `text` is plain ASCII without tabs that begins with neither a space nor an empty line."""
    return text[0] not in " \n" and text.isascii() and text.replace("\n", "").isprintable()


@lru_cache(maxsize=256)
def _literal_block(text: str, indent: str) -> str:
    """Return a literal scalar below its key. The same script is in a thousand ConfigMaps, so the result is cached."""
    lines = (f"{indent}  {line}" if line else "" for line in text.split("\n")[:-1])
    return "\n".join(("|+" if text.endswith("\n\n") else "|", *lines))


SPEC = Style(_spec_scalar, _spec_scalar, list_indent="  ", flow_lists=True, literal_blocks=False)
MANIFEST = Style(_manifest_scalar, _manifest_key, list_indent="", flow_lists=False, literal_blocks=True)


def value_origins(document: Document) -> list[tuple[str, str, str]]:
    """Return the dotted path, the value and `file:line:col` of every leaf."""
    return [
        (".".join(map(str, loc)), _write_inline(value, SPEC), str(document.values[loc]))
        for loc, value in _leaves(document.data, ())
    ]


def _leaves(value: Any, loc: Loc) -> list[tuple[Loc, Any]]:
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in items for leaf in _leaves(inner, (*loc, key))]
    return [(loc, value)]
