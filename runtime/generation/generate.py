"""Generate the model's answers to rows, for evaluation. Prompts never contain a hint.

Prompts are padded to the longest of the batch, so clips are answered in the order of their length, the longest first: too
little memory shows at once. The length is estimated, so that a clip is decoded in its turn or ahead, and not before the
first answer. An answer ends by itself or after `max_new_tokens`, and its place goes to another row.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch

from runtime.generation.continuous_batch import ContinuousBatch, PendingAnswer, build_token_chooser
from runtime.models.thinker import Student, device, suppressed_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from c2f_spec.spec.evaluate import Decoding
    from c2f_spec.spec.sections import Media
    from runtime.models.rows import Row
    from runtime.text.clips import Clip

PIXELS_PER_TOKEN = 784
"""Pixels of two frames that make a token."""
SOUND_TOKENS_PER_SECOND = 25
"""Tokens a second of sound."""
MIN_FREE_SHARE = 0.25
"""Share of free places before new rows are added: reading prompts delays the answers in progress."""


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """A finished answer."""

    id: str
    text: str
    ended: bool
    """True if it ended by itself, False if it was cut."""
    seconds: float
    """Seconds from reading the prompt to the end of the answer."""
    batch_size: int
    """Rows in the batch when it began, itself included."""


class Engine(Protocol):
    """A way to generate answers."""

    max_rows: int
    """Most rows at once."""

    def answer(self, rows: Iterable[Row], seeds: Mapping[str, int]) -> Iterator[list[GeneratedAnswer]]:
        """Yield after each step the answers that ended with it; `seeds` by clip are for sampling.

        Rows are read when there is a place for them.
        """
        ...


class TransformersEngine:
    """Generation by the model itself, in a continuous batch."""

    def __init__(self, student: Student, decoding: Decoding, max_rows: int) -> None:
        self.student, self.decoding, self.max_rows = student, decoding, max_rows
        self._choose = build_token_chooser(decoding, suppressed_tokens(student.tokenizer), device())
        opening = turn_opening(student.processor)
        self._opening: list[int] = student.tokenizer.encode(opening, add_special_tokens=False)

    def answer(self, rows: Iterable[Row], seeds: Mapping[str, int]) -> Iterator[list[GeneratedAnswer]]:
        """Answer rows, which take free places as soon as there are enough."""
        waiting = iter(rows)
        batch = ContinuousBatch(self.student, self._choose, self.decoding.max_new_tokens)
        while True:
            free = self.max_rows - len(batch)
            new = list(islice(waiting, free)) if free >= self.max_rows * MIN_FREE_SHARE else []
            ended = self._begin(batch, new, seeds) if new else []
            if batch:
                ended += batch.step()
            elif not new:
                return
            yield [self._finished(answer) for answer in ended]

    def _begin(
        self, batch: ContinuousBatch, rows: Sequence[Row], seeds: Mapping[str, int]
    ) -> list[PendingAnswer]:
        assert_unhinted(rows, self._opening)
        draws = self.decoding.temperature > 0
        own = [torch.Generator(device()).manual_seed(seeds[row.id]) if draws else None for row in rows]
        return batch.add(rows, own)

    def _finished(self, answer: PendingAnswer) -> GeneratedAnswer:
        text = self.student.processor.decode(answer.tokens, skip_special_tokens=True)
        ended = answer.tokens[-1] == self.student.tokenizer.eos_token_id
        return GeneratedAnswer(answer.id, text, ended, time.monotonic() - answer.began, answer.batch_size)


def longest_first(clips: Sequence[Clip], media: Media) -> list[Clip]:
    """Sort clips by the estimated length of their prompts, longest first; the sort is stable."""
    return sorted(clips, key=lambda clip: -estimate_prompt_tokens(clip, media))


def estimate_prompt_tokens(clip: Clip, media: Media) -> float:
    """Estimate the tokens of a prompt without decoding the clip (METHOD 8.3); a token of text is 3 bytes."""
    frames = min(clip.duration_s * media.fps, media.max_frames)
    video = 0.0 if "video" in clip.lacks else frames / 2 * media.max_pixels / PIXELS_PER_TOKEN
    audio = 0.0 if "audio" in clip.lacks else SOUND_TOKENS_PER_SECOND * clip.duration_s
    return video + audio + len(clip.text.encode()) / 3


def assert_unhinted(rows: Sequence[Row], opening: Sequence[int]) -> None:
    """Assert that every prompt ends where the template opens the model's turn, without the start of an answer."""
    for row in rows:
        assert list(row.prompt[-len(opening) :]) == list(opening), (
            "the prompt contains the start of an answer, which is a hint"
        )


def turn_opening(processor: Any) -> str:
    """Return the text with which the chat template opens the assistant's turn."""
    message = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    bare: str = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=False)
    opened: str = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    return opened.removeprefix(bare)
