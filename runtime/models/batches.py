"""Collate rows into padded tensors.

Shapes: B rows, T tokens of the longest row; V rows with video, P patches of all videos together; A rows with sound, F frames
of the longest sound. The model assigns videos and sounds to rows by their placeholders, so rows without any take no place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from c2f_spec.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.models.rows import Reader, Row

IGNORED = -100
"""The label of a token without loss."""
CONCATENATED = ("pixel_values_videos", "video_grid_thw", "video_second_per_grid")
PADDED = ("input_features", "feature_attention_mask")
CONTENT = ("pixel_values_videos", "input_features")


class MediaBatch(dict[str, torch.Tensor]):
    """The media tensors of `rows`, as arguments of the model."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], rows: Sequence[Row]) -> None:
        super().__init__(tensors)
        self.rows = tuple(rows)


def media_batch(rows: Sequence[Row]) -> MediaBatch:
    """Return the media of `rows`, without tensors that no row has.

    pixel_values_videos (P, values), video_grid_thw (V, 3), video_second_per_grid (V,), input_features (A, mels, F),
    feature_attention_mask (A, F).
    """
    videos = [row.media for row in rows if CONCATENATED[0] in row.media]
    sounds = [row.media for row in rows if PADDED[0] in row.media]
    longest = max((media[PADDED[0]].shape[-1] for media in sounds), default=0)
    joined = {name: torch.cat([media[name] for media in videos]) for name in CONCATENATED if videos}
    padded = {
        name: torch.cat([pad(media[name], (0, longest - media[name].shape[-1])) for media in sounds])
        for name in PADDED
        if sounds
    }
    return MediaBatch(joined | padded, rows)


def positions_batch(rows: Sequence[Row]) -> MediaBatch:
    """Return `media_batch` with empty frames and sound, for a model that has their features and needs positions in time."""
    empty = [{n: t[:0] if n in CONTENT else t for n, t in row.media.items()} for row in rows]
    return MediaBatch(media_batch([replace(row, media=m) for row, m in zip(rows, empty, strict=True)]), rows)


def prompt_batch(rows: Sequence[Row], padding: int) -> dict[str, torch.Tensor]:
    """Return `input_ids` and `attention_mask` (B, T), padded on the left for generation, and the media."""
    longest = max(len(row.prompt) for row in rows)
    ids_BT = torch.tensor([[padding] * (longest - len(row.prompt)) + list(row.prompt) for row in rows])
    lengths_B1 = torch.tensor([[len(row.prompt)] for row in rows])
    mask_BT = (torch.arange(longest) >= longest - lengths_B1).long()
    return {"input_ids": ids_BT, "attention_mask": mask_BT} | media_batch(rows)


class AnswerCollator:
    """Collates examples {"id", "text"} into a batch with labels on the assistant's tokens and nothing else.

    The answer is tokenised by itself and put behind the prompt, exactly as generation goes on from a prompt. Its tokens
    are those of the tags, the chain, the score and the end of the turn (METHOD 1.1).
    """

    def __init__(self, reader: Reader, tokenizer: Any, max_tokens: int) -> None:
        """`max_tokens` is the limit of an example, prompt and answer."""
        self.reader, self._tokenizer, self._most = reader, tokenizer, max_tokens

    def __call__(self, examples: Sequence[dict[str, str]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask and labels (B, T), padded on the right, and the media.

        Raises `InvalidData` for an example that is too long: a cut one would lose frames, sound or its score.
        """
        rows = self.reader.rows(example["id"] for example in examples)
        answers = [answer_tokens(self._tokenizer, example["text"]) for example in examples]
        for row, answer in zip(rows, answers, strict=True):
            assert_fits(row, len(row.prompt) + len(answer), self._most, "an example", "`sft.max_tokens`")
        longest = max(len(row.prompt) + len(answer) for row, answer in zip(rows, answers, strict=True))
        ids, mask, labels = [], [], []
        for row, answer in zip(rows, answers, strict=True):
            rest = longest - len(row.prompt) - len(answer)
            ids.append([*row.prompt, *answer] + [self._tokenizer.pad_token_id] * rest)
            mask.append([1] * (longest - rest) + [0] * rest)
            labels.append([IGNORED] * len(row.prompt) + answer + [IGNORED] * rest)
        text = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: torch.tensor(values) for name, values in text.items()} | media_batch(rows)


def answer_tokens(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of an answer: `text` and the end of the turn."""
    ids: list[int] = tokenizer.encode(text + tokenizer.eos_token, add_special_tokens=False)
    return ids


def assert_fits(row: Row, tokens: int, max_tokens: int, what: str, field: str) -> None:
    """Raise `InvalidData` if `what` of this clip has more than `max_tokens` tokens. It is never truncated."""
    if tokens > max_tokens:
        raise InvalidData(
            f"clip `{row.id}`: {what} of {tokens} tokens, {len(row.prompt)} of them the prompt, and the limit is {max_tokens}",
            hint=f"raise {field}, or lower `media.max_frames`, `media.fps` or `media.max_pixels`",
        )
