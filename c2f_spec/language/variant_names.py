"""Name variants by the values of their axes: `ablations-beta-0p1-s42`.

All names of a sweep have one form, the first in which all are legal and different: with the names of fields, with
abbreviated ones, without the name of the sweep, the values alone. So a name describes the variant, and depends on
nothing but the sweep.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.language.sweep import Point

LONGEST = 40
"""Characters."""


def variant_names(points: list[Point], prefixes: list[str]) -> list[str]:
    """Return a name for each point; two may be equal if no form of at most `LONGEST` characters differs."""
    axes = sorted({s.path for p in points for s in p.settings})
    values = {id(s): label(s.source.value) for p in points for s in p.settings}
    tries = []
    for prefixed, word in FORMS:
        fields = {path: word(path, axes) for path in axes}
        parts = [_parts(point, fields, values) for point in points]
        names = [
            _joined(prefix if prefixed else "", own) for own, prefix in zip(parts, prefixes, strict=True)
        ]
        if len(set(names)) == len(names) and all(len(n) <= LONGEST for n in names):
            return names
        tries.append([n[:LONGEST].rstrip("-") for n in names])
    return max(tries, key=lambda names: len(set(names)))


def _parts(point: Point, fields: dict[tuple[str, ...], str], values: dict[int, str]) -> list[str]:
    """Return the words of a name without that of the sweep."""
    own = point.settings[: len(point.settings) - (point.seed is not None)]
    parts = [point.name] if point.name else [w for s in own for w in (fields[s.path], values[id(s)])]
    return [*parts, f"s{point.seed}"] if point.seed is not None else parts


def _joined(prefix: str, parts: list[str]) -> str:
    return "-".join(p for p in (prefix, *parts) if p) or "base"


def _ending(path: tuple[str, ...], axes: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the shortest end of `path` that no other axis has."""
    for length in range(1, len(path)):
        if sum(other[-length:] == path[-length:] for other in axes) == 1:
            return path[-length:]
    return path


def _full(path: tuple[str, ...], axes: list[tuple[str, ...]]) -> str:
    return "-".join(_slug(part) for part in _ending(path, axes))


def _abbreviated(path: tuple[str, ...], axes: list[tuple[str, ...]]) -> str:
    return "-".join(_abbreviate(part) for part in _ending(path, axes))


def _absent(_path: tuple[str, ...], _axes: list[tuple[str, ...]]) -> str:
    return ""


FORMS: tuple[tuple[bool, Callable[[tuple[str, ...], list[tuple[str, ...]]], str]], ...] = (
    (True, _full), (True, _abbreviated), (False, _full), (False, _abbreviated), (True, _absent), (False, _absent),
)  # fmt: skip
"""Whether a name begins with that of the sweep, and the function that names the field of a value."""


def label(value: Any) -> str:
    """Return a value as a word of a name: `0.1` is `0p1`, `-1` is `m1`, a map or list its values."""
    if value is None:
        return "none"
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return "-".join(label(v) for v in inner) or "empty"
    text = re.sub(r"^-(?=[0-9.])", "m", value)
    return _slug(re.sub(r"(?<=[0-9])\.(?=[0-9])", "p", text)) or "empty"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _abbreviate(text: str) -> str:
    """Return the initials of several words, or the first four letters of a single one."""
    words = [w for w in _slug(text).split("-") if w]
    return "".join(w[0] for w in words) if len(words) > 1 else (words or [""])[0][:4]
