"""Format numbers for people: accuracies in percent with one decimal, errors with three, "n/a" where undefined."""

from __future__ import annotations

import math
from typing import Any

NOTHING = "n/a"


def percent(value: Any) -> str:
    """Format a fraction in percent, without the sign for percent."""
    return NOTHING if _undefined(value) else f"{_rounded(100 * value, 1):.1f}"


def points(value: Any) -> str:
    """Format a difference of two fractions in percentage points, always with its sign."""
    return NOTHING if _undefined(value) else f"{_rounded(100 * value, 1):+.1f}"


def three(value: Any) -> str:
    return NOTHING if _undefined(value) else f"{_rounded(value, 3):.3f}"


def signed(value: Any) -> str:
    """Format a difference, always with its sign."""
    return NOTHING if _undefined(value) else f"{_rounded(value, 3):+.3f}"


def count(value: Any) -> str:
    """Format a count with a comma between thousands."""
    return NOTHING if _undefined(value) else f"{int(value):,}"


def label(value: Any) -> str:
    """Format a rating with its sign, and no more digits than it has."""
    return NOTHING if _undefined(value) else f"{value:+.3g}" if value else "0"


def seconds(value: Any) -> str:
    """Format a duration: `0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if _undefined(value):
        return NOTHING
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def interval(bounds: Any, show: Any) -> str:
    """Format `[low, high]` with each end formatted by `show`; empty if there is none."""
    return "" if bounds is None else f"[{show(bounds[0])}, {show(bounds[1])}]"


def p_value(value: Any) -> str:
    """Format a p-value with two digits, and no more zeros than three."""
    return NOTHING if _undefined(value) else "< 0.001" if value < 0.001 else f"{value:.2g}"


def plain(value: float) -> str:
    """Return the shortest text of a number on an axis or in a range."""
    return f"{value + 0.0:.6g}"


def _rounded(value: float, digits: int) -> float:
    """Round, without a minus before a zero."""
    return round(value, digits) + 0.0


def _undefined(value: Any) -> bool:
    return isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)
