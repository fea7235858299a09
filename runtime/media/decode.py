"""Decode a clip's file to frames and sound as arrays. The only place where media are decoded, for every stage alike.

Frames come from decord, or from PyAV where `media.decoder` says so: the two seek and scale differently, so their
frames differ and the decoder is part of a stage's key. Sound comes from PyAV whichever it is, because soundfile opens
no containers of video, and is resampled by librosa where it is not at 16 kHz; librosa is imported only then
(runtime/media/measure.py says why).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from c2f_spec.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from numpy.typing import NDArray

    from c2f_spec.spec.sections import Media


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of probing a file."""

    duration_s: float
    """Seconds."""
    lacks: tuple[str, ...] = ()
    """Which of "video" and "audio" it lacks; the prompt tells the model so."""
    problem: str = ""
    """Why the file cannot be used, without its path; empty for a file with video or audio of some length."""


FORMATS_WITH_DURATION = ("mp4", "matroska")
"""Formats whose header states the duration; for others FFmpeg guesses it from the size."""
MIN_DURATION_SHARE = 0.9
"""Share of the stated duration that must be there; less means a truncated copy. Headers are not exact."""


def probe(path: Path) -> Probe:
    """Read every packet, and decode the first picture and the first sound. Never raises for the content of a file."""
    import av

    try:
        with av.open(str(path)) as container:
            known = any(name in container.format.name for name in FORMATS_WITH_DURATION)
            stated, end = (container.duration or 0) / av.time_base if known else 0.0, 0.0
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            lacks = tuple(kind for kind in ("video", "audio") if not _decodes(container, kind))
    except (av.FFmpegError, OSError, ValueError) as error:
        return Probe(0.0, problem=_reason(error))
    if end < MIN_DURATION_SHARE * stated:
        return Probe(0.0, lacks, f"truncated: {end:.1f} of {stated:.1f} s can be read")
    if len(lacks) == 2:
        return Probe(0.0, lacks, "no video or audio in it can be decoded")
    if end <= 0:
        return Probe(0.0, lacks, "it has no duration")
    return Probe(round(end, 3), lacks)


def _decodes(container: InputContainer, kind: str) -> bool:
    """Return whether the file has moving pictures, or sound. A cover picture of a music file is neither."""
    from av.stream import Disposition

    streams = [s for s in container.streams.get() if s.type == kind]
    if not streams or Disposition.attached_pic in streams[0].disposition:
        return False
    container.seek(0)
    return next(container.decode(streams[0]), None) is not None


FRAMES, SOUND = "frames", "sound"
RATE = 16_000
FACTOR = 28
"""Sides of a frame are multiples of it: a patch of 14 pixels, merged two by two (Qwen2.5-Omni)."""


def clip(path: Path, media: Media, lacks: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return FRAMES (T, height, width, 3) and SOUND (samples,), without what the clip `lacks`.

    Raises `InvalidData` for what cannot be decoded.
    """
    pictures = {} if "video" in lacks else {FRAMES: frames(path, media)}
    return pictures | ({} if "audio" in lacks else {SOUND: audio(path)})


def frames(path: Path, media: Media) -> NDArray[np.uint8]:
    """Return `media.fps` frames a second, evenly spread, as (T, height, width, RGB).

    T is even (frames are read in pairs) and at most `media.max_frames`, but never under 2; sides are multiples of 28
    with at most `media.max_pixels` pixels and at least `media.min_pixels`, but never under 28 x 28. Raises `InvalidData`
    naming the file and the other decoder.
    """
    return DECODERS[media.decoder](path, media)


def _by_decord(path: Path, media: Media) -> NDArray[np.uint8]:
    import decord

    try:
        probe = decord.VideoReader(str(path), num_threads=1)
        count, fps = len(probe), probe.get_avg_fps()
        height, width = probe[0].shape[:2]
        size = fit_size(height, width, media.max_pixels, media.min_pixels)
        reader = probe
        if size != (height, width):
            reader = decord.VideoReader(str(path), width=size[1], height=size[0], num_threads=1)
        pictures: NDArray[np.uint8] = reader.get_batch(frame_indices(count, fps, media)).asnumpy()
    except (decord.DECORDError, RuntimeError, IndexError, ZeroDivisionError) as error:
        raise _undecodable(path, "video", error, media) from error
    return pictures


def _by_pyav(path: Path, media: Media) -> NDArray[np.uint8]:
    """Decode from the start without seeking, which reads files that decord cannot seek in."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            count = sum(packet.size > 0 for packet in container.demux(stream))
            rate, size = float(stream.average_rate or 0), (stream.height, stream.width)
        fit = fit_size(*size, media.max_pixels, media.min_pixels)
        pictures, number = _read_frames(path, frame_indices(count, rate, media), fit)
        if not pictures:  # some packets had no frame
            pictures, _ = _read_frames(path, frame_indices(number, rate, media), fit)
    except (av.FFmpegError, OSError, ValueError, IndexError, ZeroDivisionError) as error:
        raise _undecodable(path, "video", error, media) from error
    return np.stack(pictures)


def _read_frames(path: Path, wanted: list[int], size: tuple[int, int]) -> tuple[list[NDArray[np.uint8]], int]:
    """Return the frames with the numbers `wanted`, scaled; or none and the number of frames, if some are missing."""
    import av
    from av.video.reformatter import Interpolation

    pictures: dict[int, NDArray[np.uint8]] = {}
    number = -1
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                scaled = frame.reformat(size[1], size[0], "rgb24", interpolation=Interpolation.BICUBIC)
                pictures[number] = scaled.to_ndarray()
            if number >= wanted[-1]:
                return [pictures[n] for n in wanted], 0
    if number < 0:
        raise ValueError("it has no frames")
    return [], number + 1


DECODERS: dict[str, Callable[[Path, Media], NDArray[np.uint8]]] = {"decord": _by_decord, "av": _by_pyav}
"""Decoder of frames by `media.decoder`."""


def frame_indices(count: int, fps: float, media: Media) -> list[int]:
    """Return which of `count` frames to use: the middles of equal spans of time."""
    pairs = min(media.max_frames // 2, math.floor(count / fps * media.fps / 2 + 0.5))
    number = 2 * max(1, pairs)
    return [min(count - 1, int((n + 0.5) * count / number)) for n in range(number)]


def fit_size(height: int, width: int, max_pixels: int, min_pixels: int | None = None) -> tuple[int, int]:
    """Return height and width near the given ones: multiples of 28, at most `max_pixels`, at least `min_pixels` if possible."""

    def sides(fit: Callable[[float], int], scale: float) -> list[int]:
        return [max(FACTOR, fit(side * scale / FACTOR) * FACTOR) for side in (height, width)]

    size = nearest = sides(round, 1.0)
    if min_pixels is not None and math.prod(size) < min_pixels:
        size = sides(math.ceil, math.sqrt(min_pixels / (height * width)))
    if math.prod(size) > max_pixels:
        size = sides(math.floor, math.sqrt(max_pixels / (height * width)))
        if math.prod(size) < math.prod(nearest) <= max_pixels:  # no size between the limits
            size = nearest
    longest = max(FACTOR, max_pixels // FACTOR // FACTOR * FACTOR)  # bites where the other side is already 28
    return min(size[0], longest), min(size[1], longest)


def audio(path: Path) -> NDArray[np.float32]:
    """Return the sound as mono at 16 kHz, samples in [-1, 1]. Raises `InvalidData` naming the file."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise InvalidData(
                    f"{path} has no audio stream",
                    hint="run the stage `prepare` again: the manifest says that it has one",
                )
            rate = container.streams.audio[0].rate
            resampler = av.AudioResampler(format="fltp", layout="mono")
            chunks = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
            chunks += resampler.resample(None)
        samples = np.concatenate([chunk.to_ndarray()[0] for chunk in chunks])
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _undecodable(path, "sound", error) from error
    if rate != RATE:
        import librosa

        samples = librosa.resample(samples, orig_sr=rate, target_sr=RATE)
    return np.ascontiguousarray(samples, dtype=np.float32)


def _reason(error: Exception) -> str:
    """Return the last line of an error, without the number and the path that FFmpeg puts around its own."""
    text = getattr(error, "strerror", None) or str(error).strip()
    return text.splitlines()[-1] if text else type(error).__name__


def _undecodable(path: Path, what: str, error: Exception, media: Media | None = None) -> InvalidData:
    if not path.is_file():
        return InvalidData(f"file not found: {path}", hint="run the stage `prepare` of this data set again")
    others = [name for name in DECODERS if media is not None and name != media.decoder]
    instead = f", or try `media.decoder: {others[0]}`, whose frames differ" if others else ""
    return InvalidData(
        f"the {what} of {path} cannot be decoded: {_reason(error)}",
        hint=f"replace the file by one that `ffmpeg -i` reads, and stage the data set again{instead}",
    )
