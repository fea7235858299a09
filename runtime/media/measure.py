"""Measure a decoded clip: pitch and level of the voice, mouth and brows of the face.

Made for the speaker that `runtime/media/speaker.py` draws, whose face always sits in the same place; real faces would
need a landmark model. Used by the lexicon teacher and by the ridge baselines.

Pitch is YIN (de Cheveigne and Kawahara 2002, https://doi.org/10.1121/1.1458024), written out in numpy: librosa's gives
the same, but importing librosa compiles for 15 to 20 s wherever numba's cache is empty, as in every new container,
and takes 1.5 s in each worker after that. Decoding and
measuring a clip takes 4 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from runtime.media.decode import RATE, audio, frames

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from c2f_spec.spec.sections import Media

LOWEST_HZ, HIGHEST_HZ = 90.0, 900.0
WINDOW, HOP = 512, 2048
"""Samples of a window, and samples between two readings of the pitch: eight a second."""
DIP = 0.1
"""Threshold: the first period whose normalised difference is below it is the pitch (section 4 of the paper, step 4)."""
SILENCE_DB = -90.0
EPSILON = 1e-12
FFT = 1024
"""Points of the transform; at least a window and the longest period."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Measurements of voice and face."""

    pitch_hz: float
    """Median over time."""
    level_db: float
    """Root mean square, in dB of full scale."""
    mouth_px: float
    """How far the corners of the mouth lie above its middle, in pixels of a 56 x 56 frame."""
    brows_px: float
    """How far the brows are raised, in the same pixels."""


def measure(path: Path, media: Media, lacks: tuple[str, ...] = ()) -> Measures:
    """Decode a clip and return its measurements, NaN for what it `lacks`. Raises `InvalidData` if it cannot be decoded."""
    voice, mouth, brows = (math.nan, math.nan), math.nan, math.nan
    if "audio" not in lacks:
        sound = audio(path)
        voice = pitch(sound), level(sound)
    if "video" not in lacks:
        mouth, brows = measure_face(frames(path, media))
    return Measures(*voice, mouth, brows)


def level(sound: NDArray[np.float32]) -> float:
    """Return the root mean square in dB of full scale, at least `SILENCE_DB`."""
    power = float(np.mean(np.square(sound, dtype=np.float64))) if sound.size else 0.0
    return max(SILENCE_DB, 10 * float(np.log10(power))) if power > 0 else SILENCE_DB


def pitch(sound: NDArray[np.float32]) -> float:
    """Return the median pitch over time in Hz. Suffixes: N readings, T periods of 0, 1, ... samples."""
    shortest, longest = int(RATE / HIGHEST_HZ), int(RATE / LOWEST_HZ)
    needed = WINDOW + longest + 1  # and one beyond, for the parabola
    padded = np.pad(sound.astype(np.float64), (0, max(0, needed - sound.size)))
    spans = sliding_window_view(padded, needed)[::HOP]
    spectra = np.fft.rfft(spans, FFT) * np.fft.rfft(spans[:, :WINDOW], FFT).conj()
    product_NT = np.fft.irfft(spectra, FFT)[:, : longest + 2]
    energy = np.pad(np.cumsum(np.square(spans), axis=1), ((0, 0), (1, 0)))
    power_NT = energy[:, WINDOW : WINDOW + longest + 2] - energy[:, : longest + 2]
    difference_NT = np.maximum(power_NT[:, :1] + power_NT - 2 * product_NT, 0)
    periods_T = np.arange(longest + 2)
    mean_NT = np.cumsum(difference_NT, axis=1) / np.maximum(periods_T, 1)
    normal_NT = np.divide(difference_NT, mean_NT, out=np.ones_like(mean_NT), where=mean_NT > EPSILON)
    return float(np.median([RATE / _period(normal_T, shortest, longest) for normal_T in normal_NT]))


def _period(normal_T: NDArray[np.float64], shortest: int, longest: int) -> float:
    """Return the first deep dip between two periods, else the deepest, refined by a parabola through its neighbours."""
    inner = normal_T[shortest : longest + 1]
    dips = np.flatnonzero(
        (inner < DIP) & (inner <= normal_T[shortest - 1 : longest]) & (inner <= normal_T[shortest + 1 :])
    )
    at = shortest + int(dips[0] if dips.size else np.argmin(inner))
    left, here, right = normal_T[at - 1], normal_T[at], normal_T[at + 1]
    bend = left - 2 * here + right
    return at + (float(np.clip((left - right) / (2 * bend), -0.5, 0.5)) if bend > EPSILON else 0.0)


def measure_face(pictures: NDArray[np.uint8]) -> tuple[float, float]:
    """Return mouth and brows in pixels, from frames (T, height, width, RGB)."""
    grey = pictures.mean(axis=(0, 3))
    scale = 56 / grey.shape[0]
    rows = (np.arange(grey.shape[0]) + 0.5) * scale - 0.5
    from_middle = np.abs((np.arange(grey.shape[1]) + 0.5) * 56 / grey.shape[1] - 28)
    ink = np.clip((190 - grey) / 150, 0, 1)
    lips = (
        _height(ink, rows, from_middle, (30, 50), (0, 2.5)),
        _height(ink, rows, from_middle, (30, 50), (9, 12)),
    )
    brows = _height(ink, rows, from_middle, (5, 18.5), (5, 13))
    return lips[0] - lips[1], 13 - brows


def _height(
    ink: NDArray[np.floating],
    rows: NDArray[np.floating],
    columns: NDArray[np.floating],
    between: tuple[float, float],
    out: tuple[float, float],
) -> float:
    """Return the mean row of the ink in a window: rows `between` two, columns whose distance from the middle is in `out`."""
    window = ink[
        np.ix_((rows >= between[0]) & (rows <= between[1]), (columns >= out[0]) & (columns <= out[1]))
    ]
    inside = rows[(rows >= between[0]) & (rows <= between[1])]
    weight = window.sum(axis=1)
    return float(weight @ inside / weight.sum()) if weight.sum() > 0 else float(inside.mean())
