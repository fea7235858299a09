"""What `doctor` finds, a line each."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "warning", "error"]


class HealthCheck(NamedTuple):
    """One thing that was looked at."""

    level: Level
    what: str
    """Of what: `queue c2f-a800`."""
    detail: str
    fix: str = ""
    """A command or a field, where something is to be done."""


def ok(what: str, detail: str) -> HealthCheck:
    return HealthCheck("ok", what, detail)


def warning(what: str, detail: str, fix: str) -> HealthCheck:
    """It may work, or could not be seen from here."""
    return HealthCheck("warning", what, detail, fix)


def error(what: str, detail: str, fix: str) -> HealthCheck:
    """`apply` would fail, or its stages would."""
    return HealthCheck("error", what, detail, fix)
