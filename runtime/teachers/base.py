"""What every teacher is given, and the one thing it does.

A teacher sees a clip's words and media, and of its label what `teacher.label_visibility` says, which by default is
nothing (METHOD 3: the paper compares with the labels afterwards, in the filters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from c2f_spec.spec.handoff import Endpoint
    from c2f_spec.spec.sections import Media
    from runtime.endpoints.replies import Reply, RequestFailed
    from runtime.text.chains import AnyFormat


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of every clip alike, and where."""

    format: AnyFormat
    media: Media
    language: str
    low: float
    high: float
    family: str
    rendered: bool
    """The clips are drawn by `runtime/media/render.py`."""
    endpoint: Endpoint | None = None
    shards: int = 1
    """Pods that share the clips."""
    spent: float = 0.0
    """What earlier attempts of this pod's share cost."""
    weights: Path | None = None
    """The staged folder of the teacher's weights."""


@dataclass(frozen=True, slots=True)
class Question:
    """One chain that is asked for."""

    id: str
    sample: int
    """Which of the clip's chains."""
    text: str
    """The words of the clip."""
    prompt: str
    """The text of the user's turn, which holds the words."""
    media: Path
    duration_s: float
    lacks: tuple[str, ...] = ()
    """Of "video" and "audio"; the prompt says so."""
    seed: int = 0


class Teacher(Protocol):
    """Writes answers."""

    batch: int
    """Questions that it is asked at once."""
    at_once: int
    """Threads that may ask it; 0: it computes and neither waits nor costs, so that processes share the clips."""

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        """An answer to each, with the teacher's own polarity and score, or why there is none."""
        ...

    def give_up(self) -> None:
        """Try nothing again: the stage is ending. What is under way may still be answered."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...
