"""Generate answers in one batch that rows join and leave between any two tokens.

An answer that ends leaves at once, with its part of the cache of keys and values, so nothing more is computed for it, and
another row may take its place. Rows are padded on the left to the longest, and padding in all rows is removed. The tokens are
those of transformers' `generate` on the row alone, but for the order of floating-point sums.

A sampled token is the argmax of logits plus Gumbel noise (Gumbel 1954; Maddison, Tarlow and Minka 2014,
https://arxiv.org/abs/1411.0030), which is a draw from their softmax. So a sampled answer depends on its seed alone, and not
on the other clips of the batch, the pod or an interruption.

Shapes: B rows, T tokens of the longest, prompt and answer, V tokens of the vocabulary, D width of the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache, TemperatureLogitsWarper, TopPLogitsWarper

from runtime.models.batches import prompt_batch

if TYPE_CHECKING:
    from c2f_spec.spec.evaluate import Decoding
    from runtime.models.rows import Row
    from runtime.models.thinker import Student


TINY = torch.finfo(torch.float32).tiny
"""Least uniform number: the logarithm of 0 has no order."""

TokenChooser = Callable[[torch.Tensor, Sequence[torch.Generator]], torch.Tensor]
"""A function of logits (B, V) and, for sampling, a generator a row, to tokens (B,)."""


def build_token_chooser(decoding: Decoding, suppressed: Sequence[int], device: torch.device) -> TokenChooser:
    """Return a chooser with the temperature and nucleus of `decoding`, which never chooses the `suppressed` tokens."""
    forbidden = torch.tensor(suppressed, dtype=torch.long, device=device)
    warpers: list[Any] = []
    if decoding.temperature not in (0, 1):
        warpers.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.temperature and decoding.top_p < 1:
        warpers.append(TopPLogitsWarper(decoding.top_p))

    def choose(scores_BV: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        scores_BV = scores_BV.index_fill(1, forbidden, -torch.inf)
        for warper in warpers:
            scores_BV = warper(None, scores_BV)
        return (scores_BV + gumbel_noise(generators, scores_BV) if generators else scores_BV).argmax(dim=1)

    return choose


def gumbel_noise(generators: Sequence[torch.Generator], scores_BV: torch.Tensor) -> torch.Tensor:
    """Return Gumbel noise (B, V) from a generator a row."""
    uniform_BV = torch.stack(
        [torch.rand(scores_BV.shape[1], generator=g, device=scores_BV.device) for g in generators]
    )
    return -torch.log(-torch.log(uniform_BV.clamp_min(TINY)))


@dataclass(slots=True)
class PendingAnswer:
    """The tokens of one answer so far."""

    id: str
    generator: torch.Generator | None
    """Generator of sampled tokens, `None` for greedy ones."""
    began: float
    """Monotonic time when its prompt was read."""
    batch_size: int
    """Rows in the batch then, itself included."""
    tokens: list[int] = field(default_factory=list)


class ContinuousBatch:
    """A batch of answers: `add` rows, then `step` until all have left."""

    def __init__(self, student: Student, choose: TokenChooser, most_tokens: int) -> None:
        """`most_tokens` is the limit of an answer."""
        self._model, self._choose, self._most_tokens = student.model, choose, most_tokens
        self._padding: int = student.tokenizer.pad_token_id
        self._end: int = student.tokenizer.eos_token_id
        self._device: torch.device = student.model.device
        self._answers: list[PendingAnswer] = []
        self._cache = DynamicCache()
        self._lengths_B1 = torch.empty(0, 1, dtype=torch.long, device=self._device)
        """Tokens of each row in the cache."""
        self._offsets_B1 = self._lengths_B1
        """Position of each row's next token less the number of tokens before it."""

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and tokens in the cache of keys and values."""
        return len(self), self._cache.get_seq_length()

    @torch.inference_mode()
    def add(self, rows: Sequence[Row], generators: Sequence[torch.Generator | None]) -> list[PendingAnswer]:
        """Read the prompts and generate the first token of each. Return the answers that ended with it."""
        began, together = time.monotonic(), len(self) + len(rows)
        batch = {name: tensor.to(self._device) for name, tensor in prompt_batch(rows, self._padding).items()}
        positions_3BT, offsets_B1 = self._positions(batch)
        cache = DynamicCache()
        scores_BV = self._scores(**batch, position_ids=positions_3BT, past_key_values=cache)
        self._join(cache)
        self._lengths_B1 = torch.cat([self._lengths_B1, batch["attention_mask"].sum(dim=1, keepdim=True)])
        self._offsets_B1 = torch.cat([self._offsets_B1, offsets_B1.long()])
        new = [PendingAnswer(row.id, g, began, together) for row, g in zip(rows, generators, strict=True)]
        self._write(new, scores_BV)
        self._answers += new
        return self._leave()

    @torch.inference_mode()
    def step(self) -> list[PendingAnswer]:
        """Generate the next token of each row. Return the answers that ended with it."""
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

    def _write(self, answers: Sequence[PendingAnswer], scores_BV: torch.Tensor) -> None:
        generators = [answer.generator for answer in answers if answer.generator is not None]
        for answer, token in zip(answers, self._choose(scores_BV, generators).tolist(), strict=True):
            answer.tokens.append(token)

    def _scores(self, **inputs: Any) -> torch.Tensor:
        """Return logits (B, V) of the next token; those of the prompt, which are gigabytes, are not computed."""
        hidden_BD = self._model.base_model(**inputs, use_cache=True).last_hidden_state[:, -1]
        scores_BV: torch.Tensor = self._model.get_output_embeddings()(hidden_BD).float()
        return scores_BV

    def _positions(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return positions (3, B, T), and offsets (B, 1) of later positions to the number of tokens before them."""
        sound_mask = batch.get("feature_attention_mask")
        positions: tuple[torch.Tensor, torch.Tensor] = self._model.get_rope_index(
            batch["input_ids"],
            video_grid_thw=batch.get("video_grid_thw"),
            attention_mask=batch["attention_mask"],
            audio_seqlens=None if sound_mask is None else sound_mask.sum(dim=1),
            second_per_grids=batch.get("video_second_per_grid"),
        )
        return positions

    def _join(self, other: DynamicCache) -> None:
        if not self._answers:
            self._cache = other
            return
        long = max(self._cache.get_seq_length(), other.get_seq_length())
        for ours, theirs in zip(self._cache.layers, other.layers, strict=True):
            ours.keys = torch.cat([_to_length(ours.keys, long), _to_length(theirs.keys, long)])
            ours.values = torch.cat([_to_length(ours.values, long), _to_length(theirs.values, long)])

    def _leave(self) -> list[PendingAnswer]:
        """Remove and return the answers that ended."""
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

    def _ended(self, answer: PendingAnswer) -> bool:
        return answer.tokens[-1] == self._end or len(answer.tokens) == self._most_tokens


def _to_length(tensor: torch.Tensor, long: int) -> torch.Tensor:
    """Return `tensor` (B, heads, T, D) padded on the left to `long` tokens, which the mask hides."""
    return pad(tensor, (0, 0, long - tensor.shape[2], 0))
