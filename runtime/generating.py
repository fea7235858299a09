"""Rows -> what the model writes for them, in batches of about equal length. Hints are never given here.

Shorter prompts are padded to the longest of their batch, so clips are answered in the order of their length, the longest
first: what does not fit in memory is known at once. The length is estimated, so that a clip is decoded when its batch
comes, or by another process before, and not before the first batch. An answer ends by itself or after `max_new_tokens`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from runtime.drawing import sampling
from runtime.models.student import Student, device, generation
from runtime.training.batches import prompt_batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.evaluate import Decoding
    from c2f_spec.spec.sections import Media
    from runtime.clips import Clip
    from runtime.training.rows import Row

PIXELS = 784
"""Of two frames that make a token."""
SOUND = 25
"""Tokens of a second."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    id: str
    text: str
    ended: bool
    """It came to its end by itself."""
    seconds: float
    """Until its batch was answered."""
    together: int
    """Rows of its batch."""


class Engine(Protocol):
    """What generates."""

    most: int
    """Rows that it answers at once."""

    def answer(self, rows: Sequence[Row], seeds: Mapping[str, int]) -> list[Said]:
        """An answer to each row; `seeds` by clip are used if answers are sampled."""
        ...


class Generating:
    """The model generates by itself."""

    def __init__(self, student: Student, decoding: Decoding, most: int) -> None:
        self.student, self.decoding, self.most = student, decoding, most
        self._settings = generation(student.tokenizer, decoding.max_new_tokens, 0.0)
        opening = turn_opening(student.processor)
        self._opening: list[int] = student.tokenizer.encode(opening, add_special_tokens=False)

    def answer(self, rows: Sequence[Row], seeds: Mapping[str, int]) -> list[Said]:
        """One batch, padded to its longest prompt."""
        assert_unhinted(rows, self._opening)
        began = time.monotonic()
        model, tokenizer = self.student.model, self.student.tokenizer
        batch = {k: v.to(device()) for k, v in prompt_batch(rows, tokenizer.pad_token_id).items()}
        with torch.no_grad():
            ids_BT = model.generate(
                **batch,
                generation_config=self._settings,
                logits_processor=self._sampling(rows, seeds),
            )[:, batch["input_ids"].shape[1] :]
        ended_B = (ids_BT == tokenizer.eos_token_id).any(dim=1).tolist()
        texts = self.student.processor.batch_decode(ids_BT, skip_special_tokens=True)
        seconds = time.monotonic() - began
        return [
            Said(row.id, text, ended, seconds, len(rows))
            for row, text, ended in zip(rows, texts, ended_B, strict=True)
        ]

    def _sampling(self, rows: Sequence[Row], seeds: Mapping[str, int]) -> Any:
        if not self.decoding.temperature:
            return None
        own = [seeds[row.id] for row in rows]
        return sampling(own, self.decoding.temperature, self.decoding.top_p, device())


def by_length(clips: Sequence[Clip], media: Media, most: int) -> list[list[Clip]]:
    """Batches of at most `most` clips, the longest prompts first; clips of equal length stay in order."""
    ordered = sorted(clips, key=lambda clip: -length(clip, media))
    count = -(-len(ordered) // most)
    size = -(-len(ordered) // count) if count else 1
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


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
