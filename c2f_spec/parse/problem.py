"""What a rule yields."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Problem(NamedTuple):
    """A finding at a location of the spec."""

    code: str
    loc: tuple[str | int, ...]
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    at_key: bool = False
