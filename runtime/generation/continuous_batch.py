"""Rows whose answers a model is writing, as one batch that rows join and leave between any two tokens.

An answer that ended leaves at once, with its part of the cache of keys and values, so nothing is computed for it any more,
and other rows may take its place. Each row has its own number of tokens: it is padded on the left to the longest, and what
is padding in all rows is cut off. The tokens are those that `generate` of transformers finds for the row alone, but for
what floating-point sums owe to their order.

Shapes: B rows, T tokens of the longest, prompt and answer, V tokens of the vocabulary, D width of the model.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from runtime.models.batches import prompt_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.generation.sampling import Choose
    from runtime.models.rows import Row
    from runtime.models.student import Student


@dataclass(slots=True)
class Answer:
    """What was written of one answer so far."""

    id: str
    generator: torch.Generator | None
    """What its tokens are drawn with, if they are."""
    began: float
    """When the model was given its prompt, in monotonic time."""
    together: int
    """Rows that were being answered then, with it."""
    tokens: list[int] = field(default_factory=list)


class Running:
    """`add` rows, then `step` until all have left."""

    def __init__(self, student: Student, choose: Choose, most_tokens: int) -> None:
        """`most_tokens` may an answer have."""
        self._model, self._choose, self._most_tokens = student.model, choose, most_tokens
        self._padding: int = student.tokenizer.pad_token_id
        self._end: int = student.tokenizer.eos_token_id
        self._device: torch.device = student.model.device
        self._answers: list[Answer] = []
        self._cache = DynamicCache()
        self._lengths_B1 = torch.empty(0, 1, dtype=torch.long, device=self._device)
        """Tokens in the cache."""
        self._offsets_B1 = self._lengths_B1
        """By how much the position of a later token is more than the number of tokens before it."""

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and tokens that the cache of keys and values has room for."""
        return len(self), self._cache.get_seq_length()

    @torch.inference_mode()
    def add(self, rows: Sequence[Row], generators: Sequence[torch.Generator | None]) -> list[Answer]:
        """Reads the prompts and writes the first token of each; returns the answers that ended with it."""
        began, together = time.monotonic(), len(self) + len(rows)
        batch = {name: tensor.to(self._device) for name, tensor in prompt_batch(rows, self._padding).items()}
        positions_3BT, offsets_B1 = self._positions(batch)
        cache = DynamicCache()
        scores_BV = self._scores(**batch, position_ids=positions_3BT, past_key_values=cache)
        self._join(cache)
        self._lengths_B1 = torch.cat([self._lengths_B1, batch["attention_mask"].sum(dim=1, keepdim=True)])
        self._offsets_B1 = torch.cat([self._offsets_B1, offsets_B1.long()])
        new = [Answer(row.id, g, began, together) for row, g in zip(rows, generators, strict=True)]
        self._write(new, scores_BV)
        self._answers += new
        return self._leave()

    @torch.inference_mode()
    def step(self) -> list[Answer]:
        """Writes the next token of each; returns the answers that ended with it."""
        positions_B1 = self._lengths_B1 + self._offsets_B1
        self._lengths_B1 = self._lengths_B1 + 1
        long = self._cache.get_seq_length() + 1
        scores_BV = self._scores(
            input_ids=torch.tensor([answer.tokens[-1:] for answer in self._answers], device=self._device),
            attention_mask=(torch.arange(long, device=self._device) >= long - self._lengths_B1).long(),
            position_ids=positions_B1.expand(3, -1, -1),
            past_key_values=self._cache,
        )
        self._write(self._answers, scores_BV)
        return self._leave()

    def _write(self, answers: Sequence[Answer], scores_BV: torch.Tensor) -> None:
        generators = [answer.generator for answer in answers if answer.generator is not None]
        for answer, token in zip(answers, self._choose(scores_BV, generators).tolist(), strict=True):
            answer.tokens.append(token)

    def _scores(self, **inputs: Any) -> torch.Tensor:
        """Logits (B, V) of the next token; those of the prompt's own tokens, gigabytes of them, are not computed."""
        hidden_BD = self._model.base_model(**inputs, use_cache=True).last_hidden_state[:, -1]
        scores_BV: torch.Tensor = self._model.get_output_embeddings()(hidden_BD).float()
        return scores_BV

    def _positions(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """(3, B, T), and (B, 1) what the position of a later token has more than the number of tokens before it."""
        heard = batch.get("feature_attention_mask")
        found: tuple[torch.Tensor, torch.Tensor] = self._model.get_rope_index(
            batch["input_ids"],
            video_grid_thw=batch.get("video_grid_thw"),
            attention_mask=batch["attention_mask"],
            audio_seqlens=None if heard is None else heard.sum(dim=1),
            second_per_grids=batch.get("video_second_per_grid"),
        )
        return found

    def _join(self, other: DynamicCache) -> None:
        if not self._answers:
            self._cache = other
            return
        long = max(self._cache.get_seq_length(), other.get_seq_length())
        for ours, theirs in zip(self._cache.layers, other.layers, strict=True):
            ours.keys = torch.cat([_to_length(ours.keys, long), _to_length(theirs.keys, long)])
            ours.values = torch.cat([_to_length(ours.values, long), _to_length(theirs.values, long)])

    def _leave(self) -> list[Answer]:
        """Those that ended, of which nothing is left here."""
        ended = [answer for answer in self._answers if self._ended(answer)]
        if ended:
            stay = [place for place, answer in enumerate(self._answers) if not self._ended(answer)]
            self._answers = [self._answers[place] for place in stay]
            self._keep(torch.tensor(stay, dtype=torch.long, device=self._device))
        return ended

    def _keep(self, places_B: torch.Tensor) -> None:
        self._lengths_B1, self._offsets_B1 = self._lengths_B1[places_B], self._offsets_B1[places_B]
        self._cache.batch_select_indices(places_B)
        long = int(self._lengths_B1.max()) if len(places_B) else 0
        for layer in self._cache.layers:
            start = layer.keys.shape[2] - long
            layer.keys, layer.values = layer.keys[:, :, start:], layer.values[:, :, start:]

    def _ended(self, answer: Answer) -> bool:
        return answer.tokens[-1] == self._end or len(answer.tokens) == self._most_tokens


def _to_length(tensor: torch.Tensor, long: int) -> torch.Tensor:
    """(B, heads, T, D) with zeros before it; they are never looked at."""
    return pad(tensor, (0, 0, long - tensor.shape[2], 0))
