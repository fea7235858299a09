"""What `doctor` finds, a line each."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "warning", "error"]


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Level
    what: str
    """Of what: `queue c2f-a800`."""
    detail: str
    fix: str = ""
    """A command or a field, where something is to be done."""


def ok(what: str, detail: str) -> Finding:
    return Finding("ok", what, detail)


def warning(what: str, detail: str, fix: str) -> Finding:
    """It may work, or could not be seen from here."""
    return Finding("warning", what, detail, fix)


def error(what: str, detail: str, fix: str) -> Finding:
    """`apply` would fail, or its stages would."""
    return Finding("error", what, detail, fix)
