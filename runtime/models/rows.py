"""Read the clips of a prepared data set as rows of model input: prompt tokens, frames, sound.

SFT, GRPO and evaluation all read clips here. The user's turn is video, audio, text (METHOD 2.7); sound is an item of its
own, or interleaved with the frames where `media.audio` says so; a clip without sound or video has a sentence in its place,
and no tensors.

A row comes from memory, else from the cache on disk (`runtime.media.decoded_cache`), else it is decoded in this process.
Once decoding has taken `MIN_DECODING_SECONDS` here, other processes decode ahead.
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
from runtime.media.prefetch import DecodeTask, Prefetcher, decode_to_cache, prefetch_workers
from runtime.models.thinker import special_tokens_in
from runtime.text.chains import AnyFormat, build_prompt, resolve_language
from runtime.text.clips import read_facts, read_manifest
from runtime.text.prompts import user_turn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from c2f_spec.spec.sections import Media
    from runtime.media.features import Tensors
    from runtime.process.context import Context
    from runtime.text.clips import Clip


def seconds_per_grid(processor: Any, media: Tensors, duration_s: float) -> torch.Tensor:
    """Return the seconds of the clip that one time step of its patches covers: (1,). Positions in time come from it."""
    size = processor.video_processor.temporal_patch_size
    fps = int(media["video_grid_thw"][0, 0]) * size / duration_s
    return torch.tensor([size / fps], dtype=torch.float32)


def expand_placeholders(processor: Any, text: str, media: Tensors, *, interleaved: bool) -> str:
    """Return `text` with the one placeholder of each medium repeated to the number of its features.

    With `interleaved` sound and frames alternate, two seconds of each at a time, in the place of the video.
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
"""Limit of the rows in memory; the least recently used goes first."""
MIN_DECODING_SECONDS = 0.5
"""Seconds of decoding in this process before others are started, which takes about as long."""


@dataclass(frozen=True, slots=True)
class Row:
    """The model input of one clip."""

    id: str
    prompt: tuple[int, ...]
    """Token ids from the start to the opening of the assistant's turn, placeholders of media included."""
    media: dict[str, torch.Tensor]
    """pixel_values_videos (patches, values), video_grid_thw (1, 3), video_second_per_grid (1,) if it has video;
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
        cache: DecodedCache | None = None,
    ) -> None:
        """`score_range` is the range that the prompt names, by default the data set's own; `cache` has decoded clips."""
        facts = read_facts(folder)
        self.clips: dict[str, Clip] = {clip.id: clip for clip in read_manifest(folder)}
        self.language: str = facts["language"]
        self.family: str = facts["family"]
        self.low, self.high = float(facts["low"]), float(facts["high"])
        self._folder, self._processor, self._media = folder, processor, media
        self._format = resolve_language(fmt, self.language)
        self._range = score_range or (self.low, self.high)
        self._maker = FeatureMaker(processor.video_processor, processor.feature_extractor)
        self._how = decoding_digest(media)
        self._cache = cache
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._bytes = 0
        self._prefetcher: Prefetcher | None = None
        self._expected: list[DecodeTask] = []
        self._decoding_seconds = 0.0
        """Seconds of decoding in this process so far."""

    @classmethod
    def from_context(
        cls, ctx: Context, processor: Any, *, score_range: tuple[float, float] | None = None
    ) -> Reader:
        """Return the reader of a stage.

        Raises `InvalidStageSpec` for clips without sound or video under ZeRO 3: a rank whose rows have none would let the
        others wait for its part of a tower for ever.
        """
        cache = open_cache(ctx.store)
        folder = ctx.inputs["prepare"]
        reader = cls(folder, processor, ctx.format, ctx.media, score_range=score_range, cache=cache)
        lacking = [clip.id for clip in reader.clips.values() if clip.lacks]
        if lacking and ctx.stage.placement.zero_stage(ctx.world) == "3":
            raise InvalidStageSpec(
                f"{len(lacking)} clips have no sound or no video, such as `{lacking[0]}`, which ZeRO 3 does not support",
                hint=f"set `zero: 2` under `resources.{ctx.stage.kind}`, or leave these clips out of the data set",
            )
        return reader

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split, in manifest order. Raises `InvalidData` if there are none."""
        ids = [clip.id for clip in self.clips.values() if clip.split == split]
        if not ids:
            raise InvalidData(f"the prepared data set has no clips in the split `{split}`")
        return ids

    def prefetch(self, ids: Iterable[str]) -> None:
        """Announce the clips that are needed next, in order, so that they are decoded ahead. No row changes by it."""
        if self._cache is None or self._cache.max_bytes == 0 or prefetch_workers() == 0:
            return
        self._expected = [self._task(self.clips[i]) for i in dict.fromkeys(ids) if i not in self._rows]
        if self._prefetcher is not None:
            self._prefetcher.schedule(self._expected)

    def rows(self, ids: Iterable[str]) -> list[Row]:
        return [self.row(clip_id) for clip_id in ids]

    def row(self, clip_id: str) -> Row:
        """Return the row of a clip. Raises `InvalidData` for media that cannot be decoded or have no place in the prompt."""
        if clip_id in self._rows:
            self._rows.move_to_end(clip_id)
            return self._rows[clip_id]
        row = self._read(self.clips[clip_id])
        self._rows[clip_id] = row
        self._bytes += row.bytes
        while self._bytes > CACHE_BYTES and len(self._rows) > 1:
            self._bytes -= self._rows.popitem(last=False)[1].bytes
        return row

    def decoded_clip(self, clip_id: str) -> DecodedClip:
        """Return frames and sound of a clip, for an engine with a processor of its own."""
        clip = self.clips[clip_id]
        path = self._folder / clip.media
        return DecodedClip(
            frames=None if "video" in clip.lacks else decode.frames(path, self._media),
            sound=None if "audio" in clip.lacks else decode.audio(path),
            seconds=clip.duration_s,
        )

    def prompt(self, clip: Clip) -> str:
        """Return the text of the user's turn."""
        low, high = self._range
        return build_prompt(self._format, language=self.language, text=clip.text, low=low, high=high)

    def close(self) -> None:
        """End the processes that decode ahead; rows can still be read."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher, self._expected = None, []

    def assert_plain(self, clip_id: str, chain: str = "") -> None:
        """Raise `InvalidData` if a clip's transcript, or a chain of it, contains a special token of the student."""
        for what, text in (("transcript", self.clips[clip_id].text), ("chain", chain)):
            marks = special_tokens_in(self._processor.tokenizer, text)
            if marks:
                raise InvalidData(
                    f"clip `{clip_id}`: its {what} has `{marks[0]}`, which is a special token of the student",
                    hint="remove it from the text, or remove the clip from the data set",
                )

    def _read(self, clip: Clip) -> Row:
        self.assert_plain(clip.id)
        media = self._maker.make(self._decoded(clip), self._folder / clip.media)
        if "video_grid_thw" in media:
            media["video_second_per_grid"] = seconds_per_grid(self._processor, media, clip.duration_s)
        interleaved = self._media.audio == "in_video"
        content = user_turn(self.prompt(clip), self._format.language, clip.lacks, interleaved=interleaved)
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        text = expand_placeholders(self._processor, text, media, interleaved=interleaved and not clip.lacks)
        row = Row(clip.id, tuple(self._processor.tokenizer(text)["input_ids"]), media)
        self._assert_media_arrived(row)
        return row

    def _decoded(self, clip: Clip) -> dict[str, NDArray[Any]]:
        """Return a clip from the cache, or decode it and store it there."""
        if self._cache is None:
            return decode.clip(self._folder / clip.media, self._media, clip.lacks)
        task = self._task(clip)
        if self._prefetcher is not None:
            self._prefetcher.wait_for(task)
        found = self._cache.get(task.key)
        if found is not None:
            return found
        began = time.monotonic()
        made = decode.clip(task.path, self._media, task.lacks)
        self._cache.put(task.key, made)
        self._decoding_seconds += time.monotonic() - began
        if self._decoding_seconds > MIN_DECODING_SECONDS and self._expected and self._prefetcher is None:
            self._prefetcher = Prefetcher(
                partial(decode_to_cache, self._media, self._cache), prefetch_workers()
            )
            self._prefetcher.schedule(self._expected)
        return made

    def _task(self, clip: Clip) -> DecodeTask:
        return DecodeTask(cache_key(clip.blake3, self._how), self._folder / clip.media, clip.lacks)

    def _assert_media_arrived(self, row: Row) -> None:
        """Raise `InvalidData` unless placeholders match the media: the model itself would run without an error."""
        merged = self._processor.video_processor.merge_size**2
        videos = row.prompt.count(self._processor.video_token_id)
        sounds = row.prompt.count(self._processor.audio_token_id)
        wanted = int(row.media["video_grid_thw"].prod()) // merged if "video_grid_thw" in row.media else 0
        lacks = tuple(kind for kind, count in (("video", videos), ("audio", sounds)) if count == 0)
        if lacks != self.clips[row.id].lacks or videos != wanted:
            raise InvalidData(
                f"clip `{row.id}`: {videos} video and {sounds} audio tokens in the prompt, "
                f"{wanted} video tokens expected"
            )
