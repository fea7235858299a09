"""The teachers, by `kind` of the spec's `teacher`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.teachers.lexicon import Lexicon
from runtime.teachers.openai import build_openai_teacher
from runtime.teachers.transformers import Transformers
from runtime.teachers.vllm import Vllm

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.teachers.questions import Task, Teacher

TEACHERS: dict[str, Callable[[Any, Task], Teacher]] = {
    "lexicon": Lexicon,
    "openai": build_openai_teacher,
    "transformers": Transformers,
    "vllm": Vllm,
}
"""Constructors of teachers, called with the spec's `teacher` and the task; they raise `InvalidStageSpec` for a wrong task."""
