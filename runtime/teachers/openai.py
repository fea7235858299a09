"""A teacher behind an endpoint that speaks the OpenAI protocol, with parts for video, audio and text."""

from __future__ import annotations

import base64
import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.errors import InvalidData, InvalidStageSpec
from runtime.endpoints.client import ChatClient, Message, text_part
from runtime.endpoints.replies import RequestFailed
from runtime.media import decode, encode
from runtime.text.prompts import turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.spec.handoff import Endpoint
    from c2f_spec.spec.sections import Media
    from c2f_spec.spec.teacher import OpenaiTeacher, VllmTeacher
    from runtime.endpoints.replies import Reply
    from runtime.teachers.base import Question, Task


KEPT_BYTES = 256 << 20
Video = Literal["mp4", "frames"]


class Parts:
    """Safe to use from several threads."""

    def __init__(self, media: Media, video: Video, language: str) -> None:
        self._media, self._video, self._language = media, video, language
        self._kept: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._bytes = 0
        self._making: set[str] = set()
        self._lock = threading.Condition()

    def of(self, question: Question) -> tuple[bytes, ...]:
        """Each part as JSON. Raises `InvalidData` for media that cannot be decoded."""
        media = self._encoded(question)
        parts = turn(question.prompt, self._language, question.lacks)
        return tuple(
            text_part(part["text"]) if part["type"] == "text" else media[part["type"]] for part in parts
        )

    def _encoded(self, question: Question) -> dict[str, bytes]:
        """By one thread: others that want the same clip, for another sample of it, wait for that one."""
        with self._lock:
            while question.id in self._making:
                self._lock.wait()
            if question.id in self._kept:
                self._kept.move_to_end(question.id)
                return self._kept[question.id]
            self._making.add(question.id)
        try:
            made = self._encode(question)
            with self._lock:
                self._keep(question.id, made)
        finally:
            with self._lock:
                self._making.remove(question.id)
                self._lock.notify_all()
        return made

    def _keep(self, clip: str, made: dict[str, bytes]) -> None:
        """The last that were asked about, as many as there is room for."""
        self._kept[clip] = made
        self._bytes += _size(made)
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def _encode(self, question: Question) -> dict[str, bytes]:
        made = {}
        if "video" not in question.lacks:
            frames = decode.frames(question.media, self._media)
            if self._video == "mp4":
                made["video"] = _part("video_url", "video/mp4", encode.mp4(frames, question.duration_s))
            else:
                made["video"] = b",".join(
                    _part("image_url", "image/jpeg", each) for each in encode.jpegs(frames)
                )
        if "audio" not in question.lacks:
            sound = base64.b64encode(encode.wav(decode.audio(question.media))).decode()
            made["audio"] = _json({"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}})
        return made


def _part(kind: str, mime: str, data: bytes) -> bytes:
    return _json({"type": kind, kind: {"url": f"data:{mime};base64,{base64.b64encode(data).decode()}"}})


def _json(part: dict[str, Any]) -> bytes:
    return json.dumps(part).encode()


def _size(made: dict[str, bytes]) -> int:
    return sum(map(len, made.values()))


class Served:
    """A model that is asked over HTTP, whoever serves it."""

    batch = 1

    def __init__(
        self, spec: OpenaiTeacher | VllmTeacher, task: Task, endpoint: Endpoint, video: Video
    ) -> None:
        self.spec = spec
        self.at_once = endpoint.client.concurrency
        self.client = ChatClient(endpoint, spec.model, shards=task.shards, spent=task.spent)
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
        except InvalidData as error:
            return RequestFailed("media", error.message)
        except RequestFailed as failed:
            return failed

    def give_up(self) -> None:
        self.client.close()

    def close(self) -> None:
        self.client.close()


def openai(spec: OpenaiTeacher, task: Task) -> Served:
    """The teacher of a spec. Raises `InvalidStageSpec` where nobody said where the endpoint is."""
    if task.endpoint is None or task.endpoint.url is None:
        raise InvalidStageSpec(
            "the stage was not told where the endpoint is", hint="plan it again, then apply"
        )
    return Served(spec, task, task.endpoint, spec.video)
