"""Rows of a table, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "fail", "not run"]


@dataclass(frozen=True)
class Row:
    what: str
    verdict: Verdict
    detail: str


def judged(what: str, good: bool, detail: str) -> Row:
    return Row(what, "pass" if good else "fail", detail)


def shown(rows: list[Row]) -> str:
    width = max(len(row.what) for row in rows)
    lines = [f"{row.verdict:<8} {row.what:<{width}}  {row.detail}" for row in rows]
    counts = {v: sum(row.verdict == v for row in rows) for v in ("pass", "fail", "not run")}
    return "\n".join([*lines, ", ".join(f"{n} {v}" for v, n in counts.items())])
