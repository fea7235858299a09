"""A prepared data set -> what the student sees of each clip: prompt tokens, frames, sound.

The one place where a clip meets a processor, for SFT, GRPO and evaluation alike. The user's turn is video, audio, text
(METHOD 2.7); sound is an item of its own, or interleaved with the frames where `media.audio` says so; a clip without
sound or without picture has a sentence in its place, and no tensors of it.

A row comes from memory, else from what is kept on disk (`runtime.media.decoded_cache`), else it is decoded: here, or ahead of
need by other processes once that has taken long enough here for them to be worth their start.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import _get_feat_extract_output_lengths

from c2f_spec.errors import InvalidData, InvalidStageSpec
from runtime.media import decode
from runtime.media.decoded_cache import DecodedCache, cache_key, decoding_digest, open_cache
from runtime.media.features import DecodedClip, FeatureMaker
from runtime.media.prefetch import Prefetcher, Task, decode_to_cache, prefetch_workers
from runtime.models.student import marks_in
from runtime.text.chains import AnyFormat, prompt, spoken
from runtime.text.clips import read_facts, read_manifest
from runtime.text.prompts import turn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from c2f_spec.spec.sections import Media
    from runtime.media.features import Tensors
    from runtime.process.context import Context
    from runtime.text.clips import Clip


def seconds_per_grid(processor: Any, media: Tensors, duration_s: float) -> torch.Tensor:
    """Seconds of the clip that one step in time of its patches stands for: (1,). Positions in time come from it."""
    size = processor.video_processor.temporal_patch_size
    fps = int(media["video_grid_thw"][0, 0]) * size / duration_s
    return torch.tensor([size / fps], dtype=torch.float32)


def expanded(processor: Any, text: str, media: Tensors, *, interleaved: bool) -> str:
    """`text` with the one placeholder of each medium repeated. With `interleaved` sound and frames take turns, two
    seconds of each at a time, in the place of the video.
    """
    sound = {}
    if "feature_attention_mask" in media:
        lengths = media["feature_attention_mask"].sum(-1)
        sound = {"num_audio_tokens": _get_feat_extract_output_lengths(lengths).numpy()}
    if "video_grid_thw" in media:
        repeated = processor.replace_video_token(
            {name: media[name].numpy() for name in ("video_grid_thw", "video_second_per_grid")},
            0,
            processed_audio=sound,
            video_to_audio_indices=[0],
            load_audio_from_video=interleaved,
            seconds_per_chunk=processor.seconds_per_chunk,
            position_id_per_seconds=processor.position_id_per_seconds,
        )
        text = text.replace(processor.video_token, repeated, 1)
    if sound and not interleaved:
        text = text.replace(processor.audio_token, processor.replace_audio_token(sound, 0), 1)
    return text


CACHE_BYTES = 2 << 30
"""Rows kept in memory; what was not used for longest goes first."""
PATIENCE_SECONDS = 0.5
"""Spent on decoding in this process before others are started for it, which takes them about as long."""


@dataclass(frozen=True, slots=True)
class Row:
    """One clip as the student sees it."""

    id: str
    prompt: tuple[int, ...]
    """Token ids from the start to the opening of the assistant's turn, placeholders of media included."""
    media: dict[str, torch.Tensor]
    """pixel_values_videos (patches, values), video_grid_thw (1, 3), video_second_per_grid (1,) if it has a picture;
    input_features (1, mels, frames), feature_attention_mask (1, frames) if it has sound."""

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
        kept: DecodedCache | None = None,
    ) -> None:
        """`score_range` is the range that the prompt names, by default the data set's own; `kept` what is kept on disk."""
        facts = read_facts(folder)
        self.clips: dict[str, Clip] = {clip.id: clip for clip in read_manifest(folder)}
        self.language: str = facts["language"]
        self.family: str = facts["family"]
        self.low, self.high = float(facts["low"]), float(facts["high"])
        self._folder, self._processor, self._media = folder, processor, media
        self._format = spoken(fmt, self.language)
        self._range = score_range or (self.low, self.high)
        self._maker = FeatureMaker(processor.video_processor, processor.feature_extractor)
        self._how = decoding_digest(media)
        self._kept = kept
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._bytes = 0
        self._ahead: Prefetcher | None = None
        self._expected: list[Task] = []
        self._spent = 0.0
        """Seconds of decoding in this process."""

    @classmethod
    def of(cls, ctx: Context, processor: Any, *, score_range: tuple[float, float] | None = None) -> Reader:
        """That of a stage. Raises `InvalidStageSpec` for clips without sound or picture under ZeRO 3, where a rank whose
        rows have none would leave the others waiting for its part of a tower, for ever.
        """
        kept = open_cache(ctx.store)
        folder = ctx.inputs["prepare"]
        reader = cls(folder, processor, ctx.format, ctx.media, score_range=score_range, kept=kept)
        lacking = [clip.id for clip in reader.clips.values() if clip.lacks]
        if lacking and ctx.stage.placement.spread(ctx.world) == "3":
            raise InvalidStageSpec(
                f"{len(lacking)} clips have no sound or no picture, among them `{lacking[0]}`, and ZeRO 3 is asked for",
                hint=f"set `zero: 2` under `resources.{ctx.stage.kind}`, or leave these clips out of the data set",
            )
        return reader

    def ids(self, split: str) -> list[str]:
        """Ids of a split, in manifest order. Raises `InvalidData` if there are none."""
        ids = [clip.id for clip in self.clips.values() if clip.split == split]
        if not ids:
            raise InvalidData(f"the prepared data set has no clips in the split `{split}`")
        return ids

    def expect(self, ids: Iterable[str]) -> None:
        """These are needed next, in this order: what is decoded ahead of need. It changes no row."""
        if self._kept is None or self._kept.max_bytes == 0 or prefetch_workers() == 0:
            return
        self._expected = [self._task(self.clips[i]) for i in dict.fromkeys(ids) if i not in self._rows]
        if self._ahead is not None:
            self._ahead.schedule(self._expected)

    def rows(self, ids: Iterable[str]) -> list[Row]:
        return [self.row(clip_id) for clip_id in ids]

    def row(self, clip_id: str) -> Row:
        """Raises `InvalidData` for media that cannot be decoded or do not reach the model."""
        if clip_id in self._rows:
            self._rows.move_to_end(clip_id)
            return self._rows[clip_id]
        row = self._read(self.clips[clip_id])
        self._rows[clip_id] = row
        self._bytes += row.bytes
        while self._bytes > CACHE_BYTES and len(self._rows) > 1:
            self._bytes -= self._rows.popitem(last=False)[1].bytes
        return row

    def shown(self, clip_id: str) -> DecodedClip:
        """What the decoder gives of a clip, for an engine with a processor of its own."""
        clip = self.clips[clip_id]
        path = self._folder / clip.media
        return DecodedClip(
            frames=None if "video" in clip.lacks else decode.frames(path, self._media),
            sound=None if "audio" in clip.lacks else decode.audio(path),
            seconds=clip.duration_s,
        )

    def prompt(self, clip: Clip) -> str:
        """The text of the user's turn."""
        low, high = self._range
        return prompt(self._format, language=self.language, text=clip.text, low=low, high=high)

    def close(self) -> None:
        """End the processes that decode ahead; rows can still be read."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead, self._expected = None, []

    def assert_plain(self, clip_id: str, chain: str = "") -> None:
        """Raises `InvalidData` if a clip's transcript, or a chain of it, has marks that end turns or stand for media."""
        for what, text in (("transcript", self.clips[clip_id].text), ("chain", chain)):
            marks = marks_in(self._processor.tokenizer, text)
            if marks:
                raise InvalidData(
                    f"clip `{clip_id}`: its {what} has `{marks[0]}`, which the student reads as a mark and not as text",
                    hint="take it out of the text, or leave the clip out of the data set",
                )

    def _read(self, clip: Clip) -> Row:
        self.assert_plain(clip.id)
        media = self._maker.make(self._decoded(clip), self._folder / clip.media)
        if "video_grid_thw" in media:
            media["video_second_per_grid"] = seconds_per_grid(self._processor, media, clip.duration_s)
        interleaved = self._media.audio == "in_video"
        content = turn(self.prompt(clip), self._format.language, clip.lacks, interleaved=interleaved)
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        text = expanded(self._processor, text, media, interleaved=interleaved and not clip.lacks)
        row = Row(clip.id, tuple(self._processor.tokenizer(text)["input_ids"]), media)
        self._assert_media_arrived(row)
        return row

    def _decoded(self, clip: Clip) -> dict[str, NDArray[Any]]:
        """From disk, or decoded now and put there."""
        if self._kept is None:
            return decode.clip(self._folder / clip.media, self._media, clip.lacks)
        task = self._task(clip)
        if self._ahead is not None:
            self._ahead.wait_for(task)
        found = self._kept.get(task.key)
        if found is not None:
            return found
        began = time.monotonic()
        made = decode.clip(task.path, self._media, task.lacks)
        self._kept.put(task.key, made)
        self._spent += time.monotonic() - began
        if self._spent > PATIENCE_SECONDS and self._expected and self._ahead is None:
            self._ahead = Prefetcher(partial(decode_to_cache, self._media, self._kept), prefetch_workers())
            self._ahead.schedule(self._expected)
        return made

    def _task(self, clip: Clip) -> Task:
        return Task(cache_key(clip.blake3, self._how), self._folder / clip.media, clip.lacks)

    def _assert_media_arrived(self, row: Row) -> None:
        """A prompt whose placeholders have no media behind them, or none at all, runs without an error."""
        merged = self._processor.video_processor.merge_size**2
        seen = row.prompt.count(self._processor.video_token_id)
        heard = row.prompt.count(self._processor.audio_token_id)
        wanted = int(row.media["video_grid_thw"].prod()) // merged if "video_grid_thw" in row.media else 0
        lacks = tuple(kind for kind, count in (("video", seen), ("audio", heard)) if count == 0)
        if lacks != self.clips[row.id].lacks or seen != wanted:
            raise InvalidData(
                f"clip `{row.id}`: {seen} video and {heard} audio tokens in the prompt, "
                f"{wanted} video tokens expected"
            )
