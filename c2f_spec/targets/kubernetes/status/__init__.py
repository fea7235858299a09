"""API objects → sentences: why a pod does not run, where a stage is, what to do about it. Pure, no API call.

`standing.py` decides which object says most; the others translate one kind of message each. What no rule knows is
passed on as the cluster said it, so that nothing is hidden by being unknown.
"""

from __future__ import annotations

from typing import NamedTuple


class Why(NamedTuple):
    """Why something waits, in words, and the way out."""

    words: str
    way_out: str = ""
    """Empty where waiting is the way out."""
    stuck: bool = False
    """It will not go on by itself: somebody must change the cluster, the environment or the spec."""


def bounded(message: str, most: int = 300) -> str:
    """A message of the cluster on one line, not without end: admission webhooks may write pages."""
    line = " ".join(message.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
