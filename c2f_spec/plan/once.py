"""Findings of many variants, each told once.

Variants of a sweep share most of their values, so most findings are found in each of them. The same message at the same
place is one finding; when not all variants have it, a note says how many do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.errors import Diagnostic, Place

NAMED = 3
"""So many variants are named in a note."""


def told_once(found: Sequence[tuple[str, Sequence[Diagnostic]]]) -> list[Diagnostic]:
    """`found` are the findings by variant, of all variants that were looked at."""
    first: dict[tuple[str, Place, str], Diagnostic] = {}
    where: dict[tuple[str, Place, str], list[str]] = {}
    for name, diagnostics in found:
        for d in diagnostics:
            first.setdefault((d.code, d.place, d.message), d)
            where.setdefault((d.code, d.place, d.message), []).append(name)
    return [_counted(d, list(dict.fromkeys(where[key])), len(found)) for key, d in first.items()]


def _counted(diagnostic: Diagnostic, names: list[str], total: int) -> Diagnostic:
    if len(names) == total:
        return diagnostic
    more = ", ..." if len(names) > NAMED else ""
    note = f"in {len(names)} of {total} variants: {', '.join(names[:NAMED])}{more}"
    return replace(diagnostic, notes=(*diagnostic.notes, note))
