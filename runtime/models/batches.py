"""Rows -> padded tensors.

Shapes: B rows, T tokens; V rows with a picture, P patches of all of them together; A rows with sound, F frames of the
longest. The model deals out pictures and sounds to the rows by their placeholders, so those without take no place.
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
"""Label of a token without loss."""
JOINED = ("pixel_values_videos", "video_grid_thw", "video_second_per_grid")
PADDED = ("input_features", "feature_attention_mask")
CONTENT = ("pixel_values_videos", "input_features")


class MediaBatch(dict[str, torch.Tensor]):
    """What the model is given of the media of `rows`."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], rows: Sequence[Row]) -> None:
        super().__init__(tensors)
        self.rows = tuple(rows)


def media_batch(rows: Sequence[Row]) -> MediaBatch:
    """pixel_values_videos (P, values), video_grid_thw (V, 3), video_second_per_grid (V,), input_features (A, mels, F),
    feature_attention_mask (A, F); without those that no row has.
    """
    seen = [row.media for row in rows if JOINED[0] in row.media]
    heard = [row.media for row in rows if PADDED[0] in row.media]
    longest = max((media[PADDED[0]].shape[-1] for media in heard), default=0)
    joined = {name: torch.cat([media[name] for media in seen]) for name in JOINED if seen}
    padded = {
        name: torch.cat([pad(media[name], (0, longest - media[name].shape[-1])) for media in heard])
        for name in PADDED
        if heard
    }
    return MediaBatch(joined | padded, rows)


def places_batch(rows: Sequence[Row]) -> MediaBatch:
    """As `media_batch`, without frames and sound: for a model that has their features, and needs to know where in time
    they stand.
    """
    empty = [{n: t[:0] if n in CONTENT else t for n, t in row.media.items()} for row in rows]
    return MediaBatch(media_batch([replace(row, media=m) for row, m in zip(rows, empty, strict=True)]), rows)


def prompt_batch(rows: Sequence[Row], padding: int) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` (B, T), padded on the left for generation, and the media."""
    longest = max(len(row.prompt) for row in rows)
    ids_BT = torch.tensor([[padding] * (longest - len(row.prompt)) + list(row.prompt) for row in rows])
    lengths_B1 = torch.tensor([[len(row.prompt)] for row in rows])
    mask_BT = (torch.arange(longest) >= longest - lengths_B1).long()
    return {"input_ids": ids_BT, "attention_mask": mask_BT} | media_batch(rows)


class AnswerCollator:
    """Examples {"id", "text"} -> a batch with labels on the assistant's tokens and nothing else.

    The answer is tokenised by itself and put behind the prompt, exactly as generation goes on from a prompt. Its tokens
    are those of the tags, the chain, the score and the end of the turn (METHOD 1.1).
    """

    def __init__(self, reader: Reader, tokenizer: Any, most: int) -> None:
        """`most` tokens may an example have."""
        self.reader, self._tokenizer, self._most = reader, tokenizer, most

    def __call__(self, examples: Sequence[dict[str, str]]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask, labels (B, T), padded on the right, and the media.

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
    """What the student shall write: `text` and the end of its turn."""
    ids: list[int] = tokenizer.encode(text + tokenizer.eos_token, add_special_tokens=False)
    return ids


def assert_fits(row: Row, tokens: int, most: int, what: str, field: str) -> None:
    """Raises `InvalidData` if `what` of this clip has more than `most` tokens. It is never cut."""
    if tokens > most:
        raise InvalidData(
            f"clip `{row.id}`: {what} of {tokens} tokens, {len(row.prompt)} of them the prompt, and {most} are the most",
            hint=f"raise {field}, or lower `media.max_frames`, `media.fps` or `media.max_pixels`",
        )
