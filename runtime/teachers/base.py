"""The protocol of teachers, and their task and questions.

A teacher gets a clip's words and media, and of its label what `teacher.label_visibility` says, by default nothing
(METHOD 3: the paper compares with the labels afterwards, in the filters).
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
    """The settings that are the same for every clip."""

    format: AnyFormat
    media: Media
    language: str
    low: float
    high: float
    family: str
    rendered: bool
    """True for clips that `runtime/media/render.py` draws."""
    endpoint: Endpoint | None = None
    shards: int = 1
    """Number of pods that share the clips."""
    spent: float = 0.0
    """Cost of earlier attempts of this pod's share."""
    weights: Path | None = None
    """The staged folder of the teacher's weights."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request for one chain of a clip."""

    id: str
    sample: int
    """Number of the chain among those of its clip, from 0."""
    text: str
    """The words of the clip."""
    prompt: str
    """The text of the user's turn, which holds the words."""
    media: Path
    duration_s: float
    lacks: tuple[str, ...] = ()
    """Missing media, of "video" and "audio"; the prompt says so."""
    seed: int = 0


class Teacher(Protocol):
    """Writes answers."""

    batch: int
    """Questions a call of `write`."""
    concurrency: int
    """Threads that may call `write`; 0 for a teacher that computes without waiting or cost, for which processes share the clips."""

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        """Return an answer to each question, with the teacher's own polarity and score, or the failure."""
        ...

    def give_up(self) -> None:
        """Stop retries because the stage is ending. Requests in flight may still be answered."""
        ...

    def close(self) -> None:
        """Release resources."""
        ...
