"""Encode the video and sound of a clip once for all answers to it.

A group has G answers to one clip, and each is scored by the old, the reference and the training policy: the model would
encode the same frames and sound 3 G times and more. Here each distinct clip of a pass is encoded once, and its features go
to all of its rows, so that their gradients add up. Without gradients, or with frozen towers, features are cached for the
rest of the step: generation, hints, old and reference policy share them, and with frozen towers the update too.

The forward pass calls the documented `get_video_features` and `get_audio_features`, which are replaced for a pass.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from transformers import Qwen2_5OmniThinkerModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from runtime.models.batches import media_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.models.rows import Row

VIDEO, AUDIO = "pixel_values_videos", "input_features"
"""Tensors that a row has if it has video, and sound."""


class Towers:
    """Features of the towers of one thinker, cached for a step. Used by one thread, never during another pass of the model."""

    def __init__(self, thinker: Qwen2_5OmniThinkerModel) -> None:
        self._thinker = thinker
        self._step: dict[str, Row] = {}
        self._cache: dict[tuple[str, str], torch.Tensor] = {}
        """Features (tokens, hidden) by modality and clip."""
        self._weights = self._version()
        """Version of the weights that computed the cached features."""

    @property
    def frozen(self) -> bool:
        return not any(p.requires_grad for p in self.parameters())

    def parameters(self) -> Iterator[torch.Tensor]:
        yield from self._thinker.visual.parameters()
        yield from self._thinker.audio_tower.parameters()

    def same_weights(self, other: Towers) -> bool:
        """Return whether both have the same weights. Weights that ZeRO spreads over ranks count as different."""
        pairs = zip(self.parameters(), other.parameters(), strict=True)
        return all(a.numel() > 0 and a.shape == b.shape and torch.equal(a, b.to(a.device)) for a, b in pairs)

    def _version(self) -> tuple[int, ...]:
        """Return the versions of the weights, which differ after each change in place."""
        return tuple(p._version for p in self.parameters())  # noqa: SLF001

    def begin_step(self, rows: Sequence[Row]) -> None:
        """Begin a step with its rows, and clear the cache, which may be of other weights.

        All rows are encoded together when the first is needed, so that ranks that share parts of the towers run them
        equally often.
        """
        self._step = {row.id: row for row in rows}
        self._cache.clear()

    @contextmanager
    def serve_features(self, thinker: Qwen2_5OmniThinkerModel, rows: Sequence[Row]) -> Iterator[None]:
        """Let forward passes of `thinker` in this context use the features of these rows, in this order.

        It is the model of these towers, or one with the `same_weights`.
        """
        cache = self.frozen or not torch.is_grad_enabled()

        # `generate` reads their signatures to select from its arguments.
        @wraps(type(thinker).get_video_features)
        def video(*_: Any, **__: Any) -> BaseModelOutputWithPooling:
            return BaseModelOutputWithPooling(pooler_output=tuple(self._features(VIDEO, rows, cache)))

        @wraps(type(thinker).get_audio_features)
        def audio(*_: Any, **__: Any) -> BaseModelOutputWithPooling:
            return BaseModelOutputWithPooling(last_hidden_state=torch.cat(self._features(AUDIO, rows, cache)))

        # Attributes of the instance hide the methods of its class until they are deleted.
        thinker.get_video_features, thinker.get_audio_features = video, audio
        try:
            yield
        finally:
            del thinker.get_video_features, thinker.get_audio_features

    def _features(self, modality: str, rows: Sequence[Row], cache: bool) -> list[torch.Tensor]:
        """Return the features of each row that has the modality."""
        having = [row for row in rows if modality in row.media]
        if not cache:
            fresh = self._encode(modality, {row.id: row for row in having})
            return [fresh[row.id] for row in having]
        if self._weights != self._version():
            self._cache.clear()
            self._weights = self._version()
        if any((modality, row.id) not in self._cache for row in having):
            missing = {row.id: row for row in (*self._step.values(), *having) if modality in row.media}
            with torch.no_grad():
                self._cache.update(
                    {(modality, clip): f for clip, f in self._encode(modality, missing).items()}
                )
        return [self._cache[modality, row.id] for row in having]

    def _encode(self, modality: str, rows: dict[str, Row]) -> dict[str, torch.Tensor]:
        """Return features (tokens, hidden) of each clip from the model's own towers."""
        kind, device = type(self._thinker), next(self.parameters()).device
        media = {name: t.to(device) for name, t in media_batch(list(rows.values())).items()}
        if modality == VIDEO:
            each = kind.get_video_features(
                self._thinker, media[VIDEO], media["video_grid_thw"], return_dict=True
            ).pooler_output
        else:
            mask = media["feature_attention_mask"]
            sounds = kind.get_audio_features(
                self._thinker, media[AUDIO], mask, return_dict=True
            ).last_hidden_state
            # Lengths after the convolutions and after pooling.
            _, tokens = self._thinker.audio_tower._get_feat_extract_output_lengths(mask.sum(dim=1))  # noqa: SLF001
            each = sounds.split(tokens.tolist())
        return dict(zip(rows, each, strict=True))


def find_thinker(model: Any) -> Qwen2_5OmniThinkerModel | None:
    """Return the part of a possibly wrapped model that has towers; `None` for a model of text."""
    return next((m for m in model.modules() if isinstance(m, Qwen2_5OmniThinkerModel)), None)
