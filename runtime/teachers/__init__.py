"""The teachers, by `kind` of the spec's `teacher`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.teachers.lexicon import Lexicon

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.teachers.base import Task, Teacher

TEACHERS: dict[str, Callable[[Any, Task], Teacher]] = {"lexicon": Lexicon}
"""Called with the spec's `teacher` and the task; raises `StageSpecWrong` for a task that the teacher cannot do."""
