"""Hints for misspelled words: nearest names, and characters that only look like plain letters; values on one line."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


CYRILLIC = dict(zip("авеғһіјкӏмнорԛѕтцԝхуԁс", "abefhijklmhopqstuwxydc", strict=True))
GREEK = dict(zip("αβγδεηικνορτυχω", "abydenikvoptuxw", strict=True))
OTHER = {
    "ı": "i",
    "ɑ": "a",
    "ɡ": "g",
    "ʟ": "l",
    "ℓ": "l",
    "‐": "-",
    "‑": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "＿": "_",
}
LOOKS_LIKE = CYRILLIC | GREEK | OTHER
MOST_CHOICES = 20
"""A longer list of names does not help the reader of a hint."""


def describe_lookalikes(word: str) -> tuple[str, str]:
    """Return the ASCII word that `word` looks like, and the names of the characters that differ; `""` if there are none.

    Full-width and decorated letters are recognised by their decomposition, zero-width characters by their category.
    """
    plain, odd = "", []
    for c in word:
        lookalike = _ascii_lookalike(c)
        plain += lookalike
        if lookalike != c:
            odd.append(f"U+{ord(c):04X} {unicodedata.name(c, 'a character without a name')}")
    if not plain.isascii():
        return word, ""
    names = list(dict.fromkeys(odd))
    return plain, ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _ascii_lookalike(c: str) -> str:
    if c.isascii():
        return c
    if c in LOOKS_LIKE:
        return LOOKS_LIKE[c]
    parts = unicodedata.normalize("NFKD", c)
    return "".join(LOOKS_LIKE.get(p, p) for p in parts if not unicodedata.category(p).startswith(("M", "Cf")))


def suggest_file(path: Path) -> str:
    """Return a hint that names the YAML file beside `path` with the nearest name."""
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")]
    except OSError:
        return f"check that the folder {path.parent} exists and can be read"
    near = closest_match(path.name, names)
    return f"did you mean `{path.parent / near}`?" if near else ""


def closest_match(word: str, known: list[str]) -> str:
    """Return the nearest of `known`, or `""` if none is near."""
    import difflib

    return next(iter(difflib.get_close_matches(word[:80], known, n=1, cutoff=0.6)), "")


def list_choices(known: Iterable[str]) -> str:
    names = ", ".join(f"`{name}`" for name in known)
    return f"use one of {names}" if names else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown word: the nearest of `known`, or all of them if there are at most `MOST_CHOICES`."""
    names = list(known)
    near = closest_match(word, names)
    if near:
        return f"did you mean `{near}`?"
    return list_choices(names) if len(names) <= MOST_CHOICES else ""


def format_value(value: Any) -> str:
    """Return a value on one line of at most 40 characters, maps and lists in flow style."""
    return shorten(_format_flow(value))


def _format_flow(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_format_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_format_flow(v) for v in value) + "]"
    return str(value)
