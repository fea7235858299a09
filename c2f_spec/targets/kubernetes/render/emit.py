r"""Plain data → YAML that every parser reads as what it was, whether it follows YAML 1.1 or 1.2. Deterministic.

Only text that begins with a letter and holds nothing special stands plain. All other text is in double quotes with
JSON's escapes, which are YAML's too; beyond the first plane YAML wants `\U0001f600` where JSON has two surrogates.
Several lines of plain ASCII (the script of `boot.py`) stand as they are, below `|`. Nothing is folded or sorted.
PyYAML takes ten times as long (PLATFORM: "YAML"), and writes the text `1e-5` so that Kubernetes reads a number.
"""

from __future__ import annotations

import json
import re
from typing import Any

PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:-]*\Z")
WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Which YAML 1.1 takes for something else than text."""
LINES = re.compile(r"(?:[!-~][ -~]*)(?:\n[ -~]*)*\n\Z")
"""Begins with a character that is no space, holds no tabs, ends with one line break or more."""
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
            if len(_scalars) < REMEMBERED:
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
        name = scalar(key)
        if len(name) > LONGEST_KEY:
            raise ValueError(f"a key of {len(name):,} characters cannot be written: {name[:60]}...")
        _value(f"{indent}{name}:", value, out, indent)


def _value(head: str, value: Any, out: list[str], indent: str) -> None:
    if isinstance(value, dict) and value:
        out.append(head)
        _map(value, out, f"{indent}  ")
    elif isinstance(value, (list, tuple)) and value:
        out.append(head)
        _list(value, out, indent)
    elif isinstance(value, str) and "\n" in value and LINES.match(value):
        kept = "" if not value.endswith("\n\n") else "+"
        out.append(f"{head} |{kept}")
        out.extend(f"{indent}  {line}" if line else "" for line in value.split("\n")[:-1])
    else:
        out.append(f"{head} {_leaf(value)}")


def _list(values: list[Any] | tuple[Any, ...], out: list[str], indent: str) -> None:
    for value in values:
        if isinstance(value, (dict, list, tuple)) and value:
            start = len(out)
            if isinstance(value, dict):
                _map(value, out, f"{indent}  ")
            else:
                _list(value, out, f"{indent}  ")
            out[start] = f"{indent}- {out[start][len(indent) + 2 :]}"
        else:
            out.append(f"{indent}- {_leaf(value)}")


def _leaf(value: Any) -> str:
    if isinstance(value, dict):
        return "{}"
    return "[]" if isinstance(value, (list, tuple)) else scalar(value)
