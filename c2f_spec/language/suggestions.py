"""What was meant: characters that only look like the plain letters that a reader takes them for, names that are near."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def describe_lookalikes(word: str) -> tuple[str, str]:
    """The plain word that `word` looks like, and its other characters by name; nothing if it looks like none.

    Full-width and decorated letters are found by their decomposition, characters without width by their category.
    """
    plain, odd = "", []
    for c in word:
        seems = _seems(c)
        plain += seems
        if seems != c:
            odd.append(f"U+{ord(c):04X} {unicodedata.name(c, 'a character without a name')}")
    if not plain.isascii():
        return word, ""
    names = list(dict.fromkeys(odd))
    return plain, ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _seems(c: str) -> str:
    if c.isascii():
        return c
    if c in LOOKS_LIKE:
        return LOOKS_LIKE[c]
    parts = unicodedata.normalize("NFKD", c)
    return "".join(LOOKS_LIKE.get(p, p) for p in parts if not unicodedata.category(p).startswith(("M", "Cf")))


def suggest_file(path: Path) -> str:
    """A hint: the YAML file beside `path` whose name is nearest."""
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")]
    except OSError:
        return f"the folder {path.parent} cannot be read"
    near = closest_match(path.name, names)
    return f"did you mean `{path.parent / near}`?" if near else ""


def closest_match(word: str, known: list[str]) -> str:
    """The nearest of `known`, or nothing."""
    import difflib

    return next(iter(difflib.get_close_matches(word[:80], known, n=1, cutoff=0.6)), "")


def list_choices(known: list[str]) -> str:
    return f"one of {', '.join(f'`{k}`' for k in known)}" if known else ""


def suggest(word: str, known: list[str]) -> str:
    """`did you mean`, or the list of what there is."""
    near = closest_match(word, known)
    return f"did you mean `{near}`?" if near else list_choices(known)
