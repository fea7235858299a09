"""What every teacher is given, and the one thing it does.

A teacher never sees the label: it is called with a clip's words and the file of its media, and with nothing else of
the clip (METHOD 3: the paper compares with the labels afterwards, in the filters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.sections import Media
    from runtime.chains import AnyFormat


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of every clip alike."""

    format: AnyFormat
    media: Media
    language: str
    low: float
    high: float
    family: str
    rendered: bool
    """The clips are drawn by `runtime/media/render.py`."""


class Teacher(Protocol):
    """Writes answers. Must be picklable: clips are shared out over processes."""

    def answer(self, text: str, media: Path) -> str:
        """The canonical answer, with the teacher's own polarity and score, to the clip that says `text`."""
        ...
