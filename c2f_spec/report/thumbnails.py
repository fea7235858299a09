"""Decode a clip's first picture as a small JPEG, and its loudness over time.

Decoding needs PyAV, which comes with the runtime; without it there is a hint.
"""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

WIDEST = 192
"""Width of the picture in pixels."""
BINS = 120
"""Number of peaks of a waveform."""
RATE = 8000
"""Samples a second from which peaks are taken."""
MISSING = "no picture: install c2f-spec[runtime]"
UNREADABLE = "no picture: the clip cannot be decoded"
NOT_STORED = "no picture: the clip is not in the store"
NO_VIDEO = "no picture: the clip is sound alone"


class Thumbnail(NamedTuple):
    jpeg: bytes | None
    wave: bytes
    """`BINS` peaks, 0 to 255 of full scale; empty if there is no sound."""
    no_picture: str
    """Reason why there is no picture; empty if there is."""


def thumbnail(path: Path, widest: int = WIDEST) -> Thumbnail:
    """Decode a clip. A clip that cannot be decoded has a reason in words, never an exception."""
    if find_spec("av") is None:
        return Thumbnail(None, b"", MISSING)
    import av

    jpeg, wave, problem = None, b"", UNREADABLE
    try:
        with av.open(str(path)) as container:
            if container.streams.video:
                jpeg, problem = _jpeg(next(container.decode(video=0)), widest), ""
            else:
                problem = NO_VIDEO
        with av.open(str(path)) as container:
            wave = _wave(container) if container.streams.audio else b""
    except (OSError, ValueError, IndexError, StopIteration):  # PyAV's errors are OSError or ValueError
        return Thumbnail(jpeg, wave, problem)
    return Thumbnail(jpeg, wave, problem)


def _jpeg(frame: Any, widest: int) -> bytes:
    """Encode a frame at most `widest` pixels wide; the encoder needs even sides."""
    import av

    wide = min(widest, frame.width)
    width, height = (max(2, round(side * wide / frame.width / 2) * 2) for side in (frame.width, frame.height))
    small = frame.reformat(width=width, height=height, format="yuvj420p")
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1)
    encoder.options = {"qscale": "5"}
    small.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(small), *encoder.encode(None)))


def _wave(container: Any) -> bytes:
    """Return peaks of the sound, mixed down to one channel."""
    import av
    import numpy as np

    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    parts = [
        np.abs(piece.to_ndarray().astype(np.int32)).reshape(-1)
        for frame in (*container.decode(audio=0), None)
        for piece in resampler.resample(frame)
    ]
    samples = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    if not len(samples):
        return b""
    starts = np.linspace(0, len(samples), BINS, endpoint=False).astype(int)
    return bytes(np.minimum(255, np.maximum.reduceat(samples, starts) * 255 // 32767).astype(np.uint8))
