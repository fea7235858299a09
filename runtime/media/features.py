"""A clip's file -> what a student's towers take: patches of its frames, the spectrum of its sound.

It depends on the file, on `media` and on the student's processor, and on no prompt, so the costly part is kept by their
digests (`runtime.media.kept`) and shared by formats, stages and runs. What is kept are decoded frames, as bytes, and
finished spectra: cutting 16 frames of 94,080 pixels to normalised patches takes 8 ms, less than reading the four times
as many bytes that they are, while decoding takes a hundred.

Bit for bit what the whole processor returns; a test holds that. Sound is transformed in its own length and not padded to
the longest that can be heard first, which for Qwen2.5-Omni is 300 s: 3 ms instead of 300 for a clip of 5 s.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import runtime.models.compat  # noqa: F401  before transformers, also where a maker is unpickled
from c2f_spec.errors import DataWrong
from runtime.media import decode

if TYPE_CHECKING:
    from c2f_spec.spec.sections import Media

Tensors = dict[str, torch.Tensor]

FRAMES = "frames"
LIBRARIES = ("av", "decord", "librosa", "numpy", "torch", "transformers")


@dataclass(frozen=True)
class Maker:
    """Picklable, as it goes to the processes that decode ahead of need."""

    media: Media
    video_processor: Any
    feature_extractor: Any

    @cached_property
    def digest(self) -> str:
        """Of all that features depend on besides the clip: settings, processor, libraries, and this code."""
        settings = {
            "media": self.media.model_dump(mode="json", exclude={"audio"}),  # the prompt's business
            "video": self.video_processor.to_dict(),
            "sound": self.feature_extractor.to_dict(),
            "libraries": {name: version(name) for name in LIBRARIES},
            "code": [
                hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in (__file__, str(decode.__file__))
            ],
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()

    def decode(self, path: Path, lacks: tuple[str, ...]) -> Tensors:
        """Frames (T, height, width, 3) of the picture, input_features (1, mels, frames) and feature_attention_mask
        (1, frames) of the sound; without those of what it `lacks`.

        Raises `DataWrong` for what cannot be decoded, and for more sound than the student hears.
        """
        seen = {} if "video" in lacks else {FRAMES: torch.from_numpy(decode.frames(path, self.media))}
        return seen | ({} if "audio" in lacks else self._heard(path, decode.audio(path)))

    def _heard(self, path: Path, sound: Any) -> Tensors:
        """Samples of one channel at 16 kHz. The last window looks `n_fft` samples beyond the end: at silence."""
        extractor = self.feature_extractor
        if len(sound) > extractor.n_samples:
            raise DataWrong(
                f"{path} has {len(sound) / decode.RATE:.1f} s of sound, "
                f"the student hears {extractor.n_samples / decode.RATE:.0f} s",
                hint="cut the recording, or leave the clip out of the data set",
            )
        beyond = -(-(len(sound) + extractor.n_fft) // extractor.hop_length) * extractor.hop_length
        made = extractor(
            [sound],
            sampling_rate=decode.RATE,
            padding="max_length",
            max_length=min(extractor.n_samples, beyond),
            return_attention_mask=True,
            return_tensors="pt",
        )
        length = int(made["attention_mask"].sum())
        return {
            "input_features": made["input_features"][:, :, :length].clone(),
            "feature_attention_mask": made["attention_mask"][:, :length].clone(),
        }

    def finish(self, decoded: Tensors) -> Tensors:
        """What the towers take: pixel_values_videos (patches, values) and video_grid_thw (1, 3) for the frames."""
        sound = {name: tensor for name, tensor in decoded.items() if name != FRAMES}
        if FRAMES not in decoded:
            return sound
        made = self.video_processor(
            [decoded[FRAMES].numpy()],
            do_resize=False,  # sized by the decoder already
            do_sample_frames=False,
            cap_pixels_per_frame=False,
            return_tensors="pt",
        )
        return {name: made[name] for name in ("pixel_values_videos", "video_grid_thw")} | sound
