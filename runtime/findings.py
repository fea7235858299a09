"""What a filter says of a chain that it fails. Of one that passes it says `None` (METHOD 3: pass, reason, value)."""

from __future__ import annotations

from typing import NamedTuple


class Failed(NamedTuple):
    """Why a chain fails a filter, in words that people read, and what was measured."""

    reason: str
    value: float | str | None = None
    """A share, a count, a distance or the words that were found; `None` where nothing is measured."""
