"""What a model sees and hears of a clip, computed once for all answers to it.

A group has G answers to one clip, and each is scored by the old, the reference and the training policy: the model
would encode the same frames and the same sound 3 G times and more. Here each distinct clip of a pass is encoded once,
and its features are dealt out to the rows, so that gradients of all rows add up in them. Where no gradient is asked for,
or the towers are not trained, features are kept for the rest of the step: generation, hints, old and reference policy
share them, and with frozen towers the update too.

It holds the model to what it documents: `get_video_features` and `get_audio_features` are what its forward pass asks,
and for the time of a pass they answer from here.
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
"""A row has these if it has a picture, and sound."""


class Towers:
    """The towers of one thinker. Used by one thread; never during another pass of the same model."""

    def __init__(self, thinker: Qwen2_5OmniThinkerModel) -> None:
        self._thinker = thinker
        self._step: dict[str, Row] = {}
        self._kept: dict[tuple[str, str], torch.Tensor] = {}
        """(modality, clip) -> features (tokens, hidden)."""
        self._weights = self._version()
        """Those that the kept features are of."""

    @property
    def frozen(self) -> bool:
        return not any(p.requires_grad for p in self.parameters())

    def parameters(self) -> Iterator[torch.Tensor]:
        yield from self._thinker.visual.parameters()
        yield from self._thinker.audio_tower.parameters()

    def equal(self, other: Towers) -> bool:
        """Whether both see and hear the same. Weights that lie in parts on several ranks are not compared, and are not."""
        pairs = zip(self.parameters(), other.parameters(), strict=True)
        return all(a.numel() > 0 and a.shape == b.shape and torch.equal(a, b.to(a.device)) for a, b in pairs)

    def _version(self) -> tuple[int, ...]:
        """Another after each change in place."""
        return tuple(p._version for p in self.parameters())  # noqa: SLF001

    def begin(self, rows: Sequence[Row]) -> None:
        """A step begins: its rows. What was kept of the step before may be of other weights, and goes.

        All of them are encoded together when the first is needed, so that ranks that share parts of the towers ask for
        them equally often.
        """
        self._step = {row.id: row for row in rows}
        self._kept.clear()

    @contextmanager
    def show(self, thinker: Qwen2_5OmniThinkerModel, rows: Sequence[Row]) -> Iterator[None]:
        """In here the forward passes of `thinker`, with gradients or without, are of these rows, in this order. It is
        the model whose towers these are, or one whose are `equal`.
        """
        keep = self.frozen or not torch.is_grad_enabled()

        # `generate` asks their signatures for what to take from its arguments.
        @wraps(type(thinker).get_video_features)
        def video(*_: Any, **__: Any) -> BaseModelOutputWithPooling:
            return BaseModelOutputWithPooling(pooler_output=tuple(self._features(VIDEO, rows, keep)))

        @wraps(type(thinker).get_audio_features)
        def audio(*_: Any, **__: Any) -> BaseModelOutputWithPooling:
            return BaseModelOutputWithPooling(last_hidden_state=torch.cat(self._features(AUDIO, rows, keep)))

        # Attributes of the instance hide the methods of its class until they are deleted.
        thinker.get_video_features, thinker.get_audio_features = video, audio
        try:
            yield
        finally:
            del thinker.get_video_features, thinker.get_audio_features

    def _features(self, modality: str, rows: Sequence[Row], keep: bool) -> list[torch.Tensor]:
        """Of each row that has the modality."""
        having = [row for row in rows if modality in row.media]
        if not keep:
            fresh = self._encode(modality, {row.id: row for row in having})
            return [fresh[row.id] for row in having]
        if self._weights != self._version():
            self._kept.clear()
            self._weights = self._version()
        if any((modality, row.id) not in self._kept for row in having):
            asked = {row.id: row for row in (*self._step.values(), *having) if modality in row.media}
            with torch.no_grad():
                self._kept.update({(modality, clip): f for clip, f in self._encode(modality, asked).items()})
        return [self._kept[modality, row.id] for row in having]

    def _encode(self, modality: str, rows: dict[str, Row]) -> dict[str, torch.Tensor]:
        """Features (tokens, hidden) of each clip, by the model's own towers."""
        kind, device = type(self._thinker), next(self.parameters()).device
        media = {name: t.to(device) for name, t in media_batch(list(rows.values())).items()}
        if modality == VIDEO:
            each = kind.get_video_features(
                self._thinker, media[VIDEO], media["video_grid_thw"], return_dict=True
            ).pooler_output
        else:
            mask = media["feature_attention_mask"]
            heard = kind.get_audio_features(
                self._thinker, media[AUDIO], mask, return_dict=True
            ).last_hidden_state
            # Lengths after the convolutions and after pooling.
            _, tokens = self._thinker.audio_tower._get_feat_extract_output_lengths(mask.sum(dim=1))  # noqa: SLF001
            each = heard.split(tokens.tolist())
        return dict(zip(rows, each, strict=True))


def thinker_of(model: Any) -> Qwen2_5OmniThinkerModel | None:
    """The part of a model, however wrapped, that has towers; `None` for a model of text."""
    return next((m for m in model.modules() if isinstance(m, Qwen2_5OmniThinkerModel)), None)
