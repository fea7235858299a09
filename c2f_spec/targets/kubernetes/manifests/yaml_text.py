r"""Plain data → YAML that every parser reads as what it was, whether it follows YAML 1.1 or 1.2. Deterministic.

Only text that begins with a letter and holds nothing special stands plain. All other text is in double quotes with
JSON's escapes, which are YAML's too; beyond the first plane YAML wants `\U0001f600` where JSON has two surrogates.
Several lines of plain ASCII (the script of `boot.py`) stand as they are, below `|`. Nothing is folded or sorted.
PyYAML takes ten times as long (PLATFORM: "YAML"), and writes the text `1e-5` so that Kubernetes reads a number.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:-]*\Z")
WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Which YAML 1.1 takes for something else than text."""
BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
LONGEST_KEY = 1000
"""Characters as written; YAML's readers look no further than 1,024 for the colon."""
REMEMBERED = 100_000

_scalars: dict[str, str] = {}


def emit(objects: list[dict[str, Any]]) -> str:
    """A file of several documents. Raises `TypeError` on what JSON does not have, `ValueError` on an endless key."""
    return "".join(f"---\n{document(item)}" for item in objects)


def document(item: dict[str, Any]) -> str:
    """One object."""
    out: list[str] = []
    _map(item, out, "")
    return "\n".join(out) + "\n"


def scalar(value: Any) -> str:
    """A value that is no map and no list, on one line."""
    if isinstance(value, str):
        known = _scalars.get(value)
        if known is None:
            known = _text(value)
            # Of several lines: in a map they stand below `|`, which what is remembered must not forestall.
            if len(_scalars) < REMEMBERED and "\n" not in value:
                _scalars[value] = known
        return known
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} has no place in a manifest: {value!r}")


def _text(value: str) -> str:
    if PLAIN.match(value) and value.lower() not in WORDS and value[-1] != ":":
        return value
    return BEYOND_ASCII.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _map(values: dict[str, Any], out: list[str], indent: str) -> None:
    for key, value in values.items():
        name = _scalars.get(key) or _key(key)
        kind = type(value)
        if kind is str:
            text = _scalars.get(value)
            if text is None:
                text = _block(value, indent) if value[-1:] == "\n" and _is_lines(value) else scalar(value)
            out.append(f"{indent}{name}: {text}")
        elif kind is dict and value:
            out.append(f"{indent}{name}:")
            _map(value, out, f"{indent}  ")
        elif kind is list and value:
            out.append(f"{indent}{name}:")
            _list(value, out, indent)
        else:
            out.append(f"{indent}{name}: {_leaf(value)}")


def _list(values: list[Any], out: list[str], indent: str) -> None:
    inner = f"{indent}  "
    for value in values:
        if not value or type(value) not in (dict, list):
            out.append(f"{indent}- {_leaf(value)}")
            continue
        start = len(out)
        if type(value) is dict:
            _map(value, out, inner)
        else:
            _list(value, out, inner)
        out[start] = f"{indent}- {out[start][len(inner) :]}"


def _key(key: str) -> str:
    name = scalar(key)
    if len(name) > LONGEST_KEY:
        raise ValueError(f"a key of {len(name):,} characters cannot be written: {name[:60]}...")
    return name


def _leaf(value: Any) -> str:
    if type(value) is dict:
        return "{}"
    return "[]" if type(value) is list else scalar(value)


def _is_lines(text: str) -> bool:
    """Plain ASCII without tabs, which begins with neither a space nor an empty line."""
    return text[0] not in " \n" and text.isascii() and text.replace("\n", "").isprintable()


@lru_cache(maxsize=256)
def _block(text: str, indent: str) -> str:
    """A literal scalar below its key. The same script is in a thousand ConfigMaps."""
    lines = (f"{indent}  {line}" if line else "" for line in text.split("\n")[:-1])
    return "\n".join(("|+" if text.endswith("\n\n") else "|", *lines))
