"""Rows -> what the model writes for them. Hints are never given here.

Shorter prompts are padded to the longest that are answered with them, so clips are answered in the order of their length,
the longest first: what does not fit in memory is known at once. The length is estimated, so that a clip is decoded when
its turn comes, or by another process before, and not before the first answer. An answer ends by itself or after
`max_new_tokens`, and its place goes to another row. In `tests/bench/evaluate.py` batches that wait for their longest answers
take 640 steps of the model, nearly half of what they compute is padding, and this takes 441.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import torch

from runtime.generation.continuous_batch import Answer, Running
from runtime.generation.sampling import choosing
from runtime.models.student import Student, device, suppressed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from c2f_spec.spec.evaluate import Decoding
    from c2f_spec.spec.sections import Media
    from runtime.models.rows import Row
    from runtime.text.clips import Clip

PIXELS = 784
"""Of two frames that make a token."""
SOUND = 25
"""Tokens of a second."""
FREE = 0.25
"""Share of the places that are free before new rows take them: reading a prompt holds up the answers that are under way."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    id: str
    text: str
    ended: bool
    """It came to its end by itself."""
    seconds: float
    """From when the model was given the prompt until the answer was there."""
    together: int
    """Rows that were being answered when it began, with it."""


class Engine(Protocol):
    """What generates."""

    most: int
    """Rows that it answers at once."""

    def answer(self, rows: Iterable[Row], seeds: Mapping[str, int]) -> Iterator[list[Said]]:
        """After each step the answers that ended with it, if any; `seeds` by clip are used if answers are sampled.

        Rows are taken when there is a place for them.
        """
        ...


class Generating:
    """The model generates by itself."""

    def __init__(self, student: Student, decoding: Decoding, most: int) -> None:
        self.student, self.decoding, self.most = student, decoding, most
        self._choose = choosing(decoding, suppressed(student.tokenizer), device())
        opening = turn_opening(student.processor)
        self._opening: list[int] = student.tokenizer.encode(opening, add_special_tokens=False)

    def answer(self, rows: Iterable[Row], seeds: Mapping[str, int]) -> Iterator[list[Said]]:
        """Rows take the places of those whose answers ended, as soon as enough are free."""
        coming = iter(rows)
        running = Running(self.student, self._choose, self.decoding.max_new_tokens)
        while True:
            free = self.most - len(running)
            new = list(islice(coming, free)) if free >= self.most * FREE else []
            ended = self._begin(running, new, seeds) if new else []
            if running:
                ended += running.step()
            elif not new:
                return
            yield [self._said(answer) for answer in ended]

    def _begin(self, running: Running, rows: Sequence[Row], seeds: Mapping[str, int]) -> list[Answer]:
        assert_unhinted(rows, self._opening)
        draws = self.decoding.temperature > 0
        own = [torch.Generator(device()).manual_seed(seeds[row.id]) if draws else None for row in rows]
        return running.add(rows, own)

    def _said(self, answer: Answer) -> Said:
        text = self.student.processor.decode(answer.tokens, skip_special_tokens=True)
        ended = answer.tokens[-1] == self.student.tokenizer.eos_token_id
        return Said(answer.id, text, ended, time.monotonic() - answer.began, answer.together)


def by_length(clips: Sequence[Clip], media: Media) -> list[Clip]:
    """The longest prompts first; clips of equal length stay in order."""
    return sorted(clips, key=lambda clip: -length(clip, media))


def length(clip: Clip, media: Media) -> float:
    """About how many tokens the prompt has, told without decoding the clip (METHOD 8.3); a token of text is 3 bytes."""
    frames = min(clip.duration_s * media.fps, media.max_frames)
    video = 0.0 if "video" in clip.lacks else frames / 2 * media.max_pixels / PIXELS
    audio = 0.0 if "audio" in clip.lacks else SOUND * clip.duration_s
    return video + audio + len(clip.text.encode()) / 3


def assert_unhinted(rows: Sequence[Row], opening: Sequence[int]) -> None:
    """Every prompt ends where the template opens the model's turn: nothing of an answer is given."""
    for row in rows:
        assert list(row.prompt[-len(opening) :]) == list(opening), (
            "an answer was begun for the model: that is a hint"
        )


def turn_opening(processor: Any) -> str:
    """What the chat template writes to open the assistant's turn."""
    message = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]
    bare: str = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=False)
    opened: str = processor.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    return opened.removeprefix(bare)
