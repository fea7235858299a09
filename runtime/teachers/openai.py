"""A teacher behind an endpoint that speaks the OpenAI protocol, with parts for video, audio and text.

It gets the frames and the sound that a model in the process would get (`runtime.media.decode`), so that `media.*` means the
same for both, and a clip of 20 MB is sent as some hundred kilobytes.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import wave
from collections import OrderedDict
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from c2f_spec.errors import InvalidData, InvalidStageSpec
from runtime.endpoints.chat_client import ChatClient, Message, text_part
from runtime.endpoints.replies import RequestFailed
from runtime.media import decode
from runtime.media.decode import RATE
from runtime.teachers.questions import Teacher
from runtime.text.prompts import user_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from c2f_spec.spec.handoff import Endpoint
    from c2f_spec.spec.sections import Media
    from c2f_spec.spec.teacher import OpenaiTeacher, VllmTeacher
    from runtime.endpoints.replies import Reply
    from runtime.teachers.questions import Question, Task


CACHE_BYTES = 256 << 20
Video = Literal["mp4", "frames"]


class MessageParts:
    """The parts of a clip's message as JSON, encoded once for all samples. Safe to use from several threads."""

    def __init__(self, media: Media, video: Video, language: str) -> None:
        self._media, self._video, self._language = media, video, language
        self._cache: OrderedDict[str, dict[str, bytes]] = OrderedDict()
        self._bytes = 0
        self._encoding: set[str] = set()
        self._lock = threading.Condition()

    def build(self, question: Question) -> tuple[bytes, ...]:
        """Return each part as JSON. Raises `InvalidData` for media that cannot be decoded."""
        media = self._encoded(question)
        parts = user_turn(question.prompt, self._language, question.lacks)
        return tuple(
            text_part(part["text"]) if part["type"] == "text" else media[part["type"]] for part in parts
        )

    def _encoded(self, question: Question) -> dict[str, bytes]:
        """Encode in one thread; others that need the same clip, for another sample, wait."""
        with self._lock:
            while question.id in self._encoding:
                self._lock.wait()
            if question.id in self._cache:
                self._cache.move_to_end(question.id)
                return self._cache[question.id]
            self._encoding.add(question.id)
        try:
            media = self._encode(question)
            with self._lock:
                self._store(question.id, media)
        finally:
            with self._lock:
                self._encoding.remove(question.id)
                self._lock.notify_all()
        return media

    def _store(self, clip: str, media: dict[str, bytes]) -> None:
        """Cache a clip, and drop the least recently used beyond `CACHE_BYTES`."""
        self._cache[clip] = media
        self._bytes += _size(media)
        while self._bytes > CACHE_BYTES and len(self._cache) > 1:
            self._bytes -= _size(self._cache.popitem(last=False)[1])

    def _encode(self, question: Question) -> dict[str, bytes]:
        media = {}
        if "video" not in question.lacks:
            frames = decode.frames(question.media, self._media)
            if self._video == "mp4":
                media["video"] = _part("video_url", "video/mp4", mp4(frames, question.duration_s))
            else:
                media["video"] = b",".join(_part("image_url", "image/jpeg", each) for each in jpegs(frames))
        if "audio" not in question.lacks:
            sound = base64.b64encode(wav(decode.audio(question.media))).decode()
            media["audio"] = _json({"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}})
        return media


def _part(kind: str, mime: str, data: bytes) -> bytes:
    return _json({"type": kind, kind: {"url": f"data:{mime};base64,{base64.b64encode(data).decode()}"}})


def _json(part: dict[str, Any]) -> bytes:
    return json.dumps(part).encode()


def _size(media: dict[str, bytes]) -> int:
    return sum(map(len, media.values()))


class ChatTeacher(Teacher):
    """A teacher behind a chat endpoint."""

    batch = 1

    def __init__(
        self, spec: OpenaiTeacher | VllmTeacher, task: Task, endpoint: Endpoint, video: Video
    ) -> None:
        self.spec = spec
        self.concurrency = endpoint.client.concurrency
        self.client = ChatClient(endpoint, spec.model, shards=task.shards, spent=task.spent)
        self._parts = MessageParts(task.media, video, task.language)

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Reply | RequestFailed:
        spec = self.spec
        try:
            turn = Message("user", self._parts.build(question))
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


def build_openai_teacher(spec: OpenaiTeacher, task: Task) -> ChatTeacher:
    """Return the teacher of a spec. Raises `InvalidStageSpec` without an endpoint."""
    if task.endpoint is None or task.endpoint.url is None:
        raise InvalidStageSpec(
            "the endpoint of the teacher is missing", hint="plan the stage again, then apply"
        )
    return ChatTeacher(spec, task, task.endpoint, spec.video)


QUALITY = "12"
"""x264's constant rate factor. A rendered frame decodes to 1.6 of 255 off on average, nearly all from halved colour."""
JPEG = 92


def mp4(frames: NDArray[np.uint8], seconds: float) -> bytes:
    """Return an MP4 of frames (T, height, width, RGB), each shown for an equal part of `seconds`; H.264, no sound."""
    import av

    file = io.BytesIO()
    _, height, width, _ = frames.shape
    rate = Fraction(len(frames) / seconds).limit_denominator(1000)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": QUALITY, "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def jpegs(frames: NDArray[np.uint8]) -> list[bytes]:
    """Return each of the frames (T, height, width, RGB) as a JPEG."""
    from PIL import Image

    pictures = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=JPEG)
        pictures.append(file.getvalue())
    return pictures


def wav(sound: NDArray[np.float32]) -> bytes:
    """Return a WAV of samples in [-1, 1] at 16 kHz, 16 bits each."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(sound, -1.0, 1.0) * 32767).round().astype("<i2").tobytes())
    return file.getvalue()
