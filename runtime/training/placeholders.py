"""The placeholders of a prompt: one token for every piece of picture and sound, as the processor would write them.

Processor and model must agree on their number, so it is the processor that is asked, by the steps that its own call is
made of; those work on whole media, while here they were processed before, perhaps by another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import _get_feat_extract_output_lengths

if TYPE_CHECKING:
    from runtime.media.features import Tensors


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
