"""Features of a decoded clip, which a student's towers take: patches of its frames, the spectrum of its sound.

They depend on the student's processor and on no prompt, and are computed whenever a clip is read from disk
(`runtime.media.decoded_cache`): cutting 16 frames of 94,080 pixels to normalised patches takes 8 ms, less than reading the four
times as many bytes that they take.

They equal bit for bit what the whole processor returns; a test holds that. Sound is transformed in its own length and not padded to
the longest that can be heard first, which for Qwen2.5-Omni is 300 s: 3 ms instead of 300 for a clip of 5 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData
from runtime.media.decode import FRAMES, RATE, SOUND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """A clip as the decoder returns it."""

    frames: NDArray[np.uint8] | None
    """(T, height, width, 3), in their final size; `None` without a picture."""
    sound: NDArray[np.float32] | None
    """Samples at 16 kHz; `None` without sound."""
    seconds: float
    """Duration."""


@dataclass(frozen=True)
class FeatureMaker:
    """Computes the features of clips for one student."""

    video_processor: Any
    feature_extractor: Any

    def make(self, decoded: Mapping[str, NDArray[Any]], path: Path) -> Tensors:
        """Return pixel_values_videos (patches, values) and video_grid_thw (1, 3) for the frames; input_features (1, mels,
        frames) and feature_attention_mask (1, frames) for the sound.

        Raises `InvalidData` naming `path` for more sound than the student can take.
        """
        pictures = self._frame_features(decoded[FRAMES]) if FRAMES in decoded else {}
        return pictures | (self._sound_features(decoded[SOUND], path) if SOUND in decoded else {})

    def _frame_features(self, frames: NDArray[Any]) -> Tensors:
        features = self.video_processor(
            [frames],
            do_resize=False,  # sized by the decoder already
            do_sample_frames=False,
            cap_pixels_per_frame=False,
            return_tensors="pt",
        )
        return {name: features[name] for name in ("pixel_values_videos", "video_grid_thw")}

    def _sound_features(self, sound: NDArray[Any], path: Path) -> Tensors:
        """Return the spectrum of mono samples at 16 kHz. The last window reaches `n_fft` samples beyond the end: silence."""
        extractor = self.feature_extractor
        if len(sound) > extractor.n_samples:
            raise InvalidData(
                f"{path} has {len(sound) / RATE:.1f} s of sound, "
                f"the student hears {extractor.n_samples / RATE:.0f} s",
                hint="cut the recording, or leave the clip out of the data set",
            )
        beyond = -(-(len(sound) + extractor.n_fft) // extractor.hop_length) * extractor.hop_length
        features = extractor(
            [sound],
            sampling_rate=RATE,
            padding="max_length",
            max_length=min(extractor.n_samples, beyond),
            return_attention_mask=True,
            return_tensors="pt",
        )
        length = int(features["attention_mask"].sum())
        return {
            "input_features": features["input_features"][:, :, :length].clone(),
            "feature_attention_mask": features["attention_mask"][:, :length].clone(),
        }
