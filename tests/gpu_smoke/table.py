"""Rows of a table of checks, and the table as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "not run"]


@dataclass(frozen=True)
class Row:
    what: str
    outcome: Outcome
    detail: str


def check(what: str, good: bool, detail: str) -> Row:
    return Row(what, "pass" if good else "fail", detail)


def render_table(rows: list[Row]) -> str:
    width = max(len(row.what) for row in rows)
    lines = [f"{row.outcome:<8} {row.what:<{width}}  {row.detail}" for row in rows]
    counts = {v: sum(row.outcome == v for row in rows) for v in ("pass", "fail", "not run")}
    return "\n".join([*lines, ", ".join(f"{n} {v}" for v, n in counts.items())])
