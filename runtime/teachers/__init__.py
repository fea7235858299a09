"""The teachers, by `kind` of the spec's `teacher`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.teachers.lexicon import Lexicon
from runtime.teachers.openai import openai
from runtime.teachers.transformers import Transformers
from runtime.teachers.vllm import Vllm

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.teachers.base import Task, Teacher

TEACHERS: dict[str, Callable[[Any, Task], Teacher]] = {
    "lexicon": Lexicon,
    "openai": openai,
    "transformers": Transformers,
    "vllm": Vllm,
}
"""Called with the spec's `teacher` and the task; raises `InvalidStageSpec` for a task that the teacher cannot do."""
