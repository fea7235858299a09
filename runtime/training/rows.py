"""A prepared data set -> what the student sees of each clip: prompt tokens, frames, sound. Decoded once per stage.

The one place where a clip meets a processor, for SFT, GRPO and evaluation alike. The user's turn is video, audio, text
(METHOD 2.7); sound is an item of its own and not taken from the video.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from c2f_spec.errors import DataWrong
from runtime.chains import AnyFormat, prompt
from runtime.clips import read_facts, read_manifest
from runtime.media import decode
from runtime.media.shown import Shown

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.sections import Media
    from runtime.clips import Clip

CACHE_BYTES = 2 << 30
"""Processed media kept in memory; what was not used for longest goes first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as the student sees it."""

    id: str
    prompt: tuple[int, ...]
    """Token ids from the start to the opening of the assistant's turn, placeholders of media included."""
    media: dict[str, torch.Tensor]
    """pixel_values_videos (patches, values), video_grid_thw (1, 3), video_second_per_grid (1,), input_features
    (1, mels, frames), feature_attention_mask (1, frames)."""

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.media.values())


class Reader:
    """The clips of a prepared folder as `Row`s, by id."""

    def __init__(
        self,
        folder: Path,
        processor: Any,
        fmt: AnyFormat,
        media: Media,
        *,
        score_range: tuple[float, float] | None = None,
    ) -> None:
        """`score_range` is the range that the prompt names; by default the data set's own."""
        facts = read_facts(folder)
        self.clips: dict[str, Clip] = {clip.id: clip for clip in read_manifest(folder)}
        self.language: str = facts["language"]
        self.family: str = facts["family"]
        self.low, self.high = float(facts["low"]), float(facts["high"])
        self._folder, self._processor, self._format, self._media = folder, processor, fmt, media
        self._range = score_range or (self.low, self.high)
        self._cache: OrderedDict[str, Row] = OrderedDict()
        self._bytes = 0

    def ids(self, split: str) -> list[str]:
        """Ids of a split, in manifest order. Raises `DataWrong` if there are none."""
        ids = [clip.id for clip in self.clips.values() if clip.split == split]
        if not ids:
            raise DataWrong(f"the prepared data set has no clips in the split `{split}`")
        return ids

    def row(self, clip_id: str) -> Row:
        """Raises `DataWrong` for media that cannot be decoded or do not reach the model."""
        if clip_id in self._cache:
            self._cache.move_to_end(clip_id)
            return self._cache[clip_id]
        row = self._read(self.clips[clip_id])
        self._cache[clip_id] = row
        self._bytes += row.bytes
        while self._bytes > CACHE_BYTES and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].bytes
        return row

    def shown(self, clip_id: str) -> Shown:
        """What the decoder gives of a clip, for an engine with a processor of its own."""
        clip = self.clips[clip_id]
        path = self._folder / clip.media
        return Shown(decode.frames(path, self._media), decode.audio(path), clip.duration_s)

    def prompt(self, clip: Clip) -> str:
        """The text of the user's turn."""
        low, high = self._range
        return prompt(self._format, language=self.language, text=clip.text, low=low, high=high)

    def _read(self, clip: Clip) -> Row:
        """Shapes: frames (T, height, width, 3), sound (samples,)."""
        path = self._folder / clip.media
        frames, sound = decode.frames(path, self._media), decode.audio(path)
        heard = self._processor.feature_extractor.n_samples
        if len(sound) > heard:
            raise DataWrong(
                f"clip `{clip.id}` has {len(sound) / decode.RATE:.1f} s of sound, "
                f"the student hears {heard / decode.RATE:.0f} s"
            )
        content = [{"type": "video"}, {"type": "audio"}, {"type": "text", "text": self.prompt(clip)}]
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        batch = self._processor(
            text=[text],
            videos=[frames],
            audio=[sound],
            # Sized by the decoder already; the real rate, from which positions in time are computed.
            videos_kwargs={
                "do_resize": False,
                "do_sample_frames": False,
                "fps": len(frames) / clip.duration_s,
            },
            return_tensors="pt",
        )
        # Sound comes padded to the longest that can be heard: 15 MB a clip, untrimmed.
        length = int(batch["feature_attention_mask"].sum())
        media = {
            "pixel_values_videos": batch["pixel_values_videos"],
            "video_grid_thw": batch["video_grid_thw"],
            "video_second_per_grid": torch.as_tensor(batch["video_second_per_grid"], dtype=torch.float32),
            "input_features": batch["input_features"][:, :, :length].clone(),
            "feature_attention_mask": batch["feature_attention_mask"][:, :length].clone(),
        }
        row = Row(clip.id, tuple(batch["input_ids"][0].tolist()), media)
        self._assert_media_arrived(row)
        return row

    def _assert_media_arrived(self, row: Row) -> None:
        """A prompt whose placeholders have no media behind them, or none at all, runs without an error."""
        merged = self._processor.video_processor.merge_size**2
        seen = row.prompt.count(self._processor.video_token_id)
        heard = row.prompt.count(self._processor.audio_token_id)
        wanted = int(row.media["video_grid_thw"].prod()) // merged
        if seen == 0 or heard == 0 or seen != wanted:
            raise DataWrong(
                f"clip `{row.id}`: {seen} video and {heard} audio tokens in the prompt, "
                f"{wanted} video tokens expected"
            )
