"""Clips of all sorts: without sound, without picture, of other sizes and rates; and a prepared data set with such clips."""

from __future__ import annotations

import functools
import json
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from c2f_spec.store.digest import digest_file
from runtime.media.speaker import RATE
from runtime.text.clips import Clip, polarity_of, write_manifest

ROOT = tempfile.TemporaryDirectory(prefix="odd-")
LACKS = ((), ("audio",), ("video",), ())
"""Of every four clips of `odd()`."""
RATINGS = (-2.0, 1.5, 0.0, 3.1)


NOT_CODED = b"\x00\x00\x01\xb6\x56\x7f"
"""A packet of MPEG-4 for a picture that is not there (ISO 14496-2, `vop_coded` 0)."""


def film(path, *, side=(56, 56), rate=RATE, count=4, hollow=0, seed=None):
    """`count` frames at 4 a second that grow lighter, of height and width `side`, then `hollow` packets without one, and
    a second of a stereo tone of 440 Hz; `None` leaves one out. With a `seed` frames are patches of colour and grain, as
    large on disk as what a camera sees.
    """
    with av.open(str(path), "w", format="mp4") as container:
        if side is not None:
            video = container.add_stream("mpeg4", rate=4)
            video.height, video.width, video.pix_fmt = *side, "yuv420p"
        if rate is not None:
            audio = container.add_stream("aac", rate=rate, layout="stereo")
        if side is not None:
            for n in range(count):
                picture = (
                    np.full((*side, 3), 60 + 20 * n % 180, np.uint8) if seed is None else _grain(side, seed)
                )
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(video.encode())
            for n in range(count, count + hollow):
                packet = av.Packet(NOT_CODED)
                packet.stream, packet.pts, packet.dts, packet.time_base = video, n, n, Fraction(1, 4)
                container.mux(packet)
        if rate is not None:
            tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts = rate, 0
            container.mux(audio.encode(sound))
            container.mux(audio.encode())


def _grain(side, seed):
    draw = np.random.default_rng(seed)
    patches = draw.integers(0, 256, (-(-side[0] // 20), -(-side[1] // 20), 3)).repeat(20, 0).repeat(20, 1)
    return np.clip(patches[: side[0], : side[1]] + draw.normal(0, 8, (*side, 3)), 0, 255).astype(np.uint8)


def odd(language: str = "en") -> Path:
    """Made once a session."""
    return _odd(language)


@functools.cache
def _odd(language: str) -> Path:
    """16 training and 4 test clips, a quarter of them without sound, a quarter without picture."""
    folder = Path(ROOT.name) / language
    (folder / "clips").mkdir(parents=True)
    clips = []
    for n in range(20):
        lacks, path = LACKS[n % 4], folder / "clips" / f"odd-{n:02}.mp4"
        film(
            path,
            side=None if "video" in lacks else (56, 28 * (1 + n % 3)),
            rate=None if "audio" in lacks else RATE,
            count=4 + n % 2,
        )
        rating, split = RATINGS[n % 4], "train" if n < 16 else "test"
        digest = digest_file(path).blake3
        clips.append(
            Clip(
                path.stem, "odd", split, f"said {n}", rating, polarity_of(rating, "mosi"),
                f"clips/{path.name}", 1.1, digest, lacks,
            )
        )  # fmt: skip
    write_manifest(folder, clips)
    facts = {"name": "odd", "language": language, "low": -4.0, "high": 4.0, "family": "mosi"}
    (folder / "dataset.json").write_text(json.dumps({**facts, "rendered": False, "splits": {"train": 16}}))
    return folder
