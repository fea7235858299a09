"""A teacher behind an endpoint that speaks the OpenAI protocol, with parts for video, audio and text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import DataWrong, StageSpecWrong
from runtime.endpoints.client import Client, Message
from runtime.endpoints.replies import RequestFailed
from runtime.teachers.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.spec.handoff import Endpoint
    from c2f_spec.spec.teacher import OpenaiTeacher, VllmTeacher
    from runtime.endpoints.replies import Reply
    from runtime.teachers.base import Question, Task
    from runtime.teachers.parts import Video


class Served:
    """A model that is asked over HTTP, whoever serves it."""

    batch = 1

    def __init__(
        self, spec: OpenaiTeacher | VllmTeacher, task: Task, endpoint: Endpoint, video: Video
    ) -> None:
        self.spec = spec
        self.at_once = endpoint.client.concurrency
        self.client = Client(endpoint, spec.model, shards=task.shards, spent=task.spent)
        self._parts = Parts(task.media, video, task.language)

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Reply | RequestFailed:
        spec = self.spec
        try:
            turn = Message("user", self._parts.of(question))
            return self.client.chat(
                [turn],
                max_tokens=spec.max_new_tokens,
                temperature=spec.temperature,
                top_p=spec.top_p,
                seed=question.seed,
            )
        except DataWrong as error:
            return RequestFailed("media", error.message)
        except RequestFailed as failed:
            return failed

    def give_up(self) -> None:
        self.client.close()

    def close(self) -> None:
        self.client.close()


def openai(spec: OpenaiTeacher, task: Task) -> Served:
    """The teacher of a spec. Raises `StageSpecWrong` where nobody said where the endpoint is."""
    if task.endpoint is None or task.endpoint.url is None:
        raise StageSpecWrong("the stage was not told where the endpoint is", hint="plan it again, then apply")
    return Served(spec, task, task.endpoint, spec.video)
