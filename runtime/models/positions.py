"""Positions of tokens where sound is interleaved with the frames (`media.audio: in_video`); importing it puts it there.

The model numbers the tokens of a whole batch by one rule and is told which by an argument, `use_audio_in_video`. TRL
passes no such argument, and a clip without sound must be numbered by the other rule than its neighbours; left out, it
raises nothing and shifts positions. Here each row is numbered alone, by the rule that its own tokens show: interleaved
sound begins where a picture does, right behind `vision_start_token_id`. A batch without such a row takes the model's own
way, untouched. The class is changed and not a subclass made, because TRL loads the reference model by the name of
the class that the checkpoint states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as qwen

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = qwen.Qwen2_5OmniPreTrainedModelForConditionalGeneration
Positions = tuple[torch.Tensor, torch.Tensor]
_batch_wise: Callable[..., Positions] = OWNER.get_rope_index


def get_rope_index(
    self: Any,
    input_ids: torch.Tensor | None = None,
    image_grid_thw: torch.Tensor | None = None,
    video_grid_thw: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    use_audio_in_video: bool = False,
    audio_seqlens: torch.Tensor | None = None,
    second_per_grids: torch.Tensor | None = None,
) -> Positions:
    """Positions (3, B, T) and their offsets (B, 1). Shapes: video_grid_thw (V, 3), audio_seqlens (A,),
    second_per_grids (V,); pictures and sounds in the order of the rows.
    """
    if (
        input_ids is None
        or video_grid_thw is None
        or not (inside := _interleaved(self.config, input_ids)).any()
    ):
        return _batch_wise(
            self,
            input_ids,
            image_grid_thw,
            video_grid_thw,
            attention_mask,
            use_audio_in_video,
            audio_seqlens,
            second_per_grids,
        )
    assert image_grid_thw is None, "a clip has no pictures beside its video"
    mask_BT = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    seen, heard = 0, 0
    positions, offsets = [], []
    for ids_T, mask_T, rule in zip(input_ids, mask_BT, inside.tolist(), strict=True):
        videos = int((ids_T == self.config.vision_start_token_id).sum())
        sounds = int((ids_T == self.config.audio_start_token_id).sum())
        position, offset = _batch_wise(
            self,
            ids_T[None],
            None,
            video_grid_thw[seen : seen + videos] if videos else None,
            mask_T[None],
            rule,
            audio_seqlens[heard : heard + sounds] if audio_seqlens is not None else None,
            second_per_grids[seen : seen + videos] if second_per_grids is not None else None,
        )
        seen, heard = seen + videos, heard + sounds
        positions.append(position)
        offsets.append(offset)
    return torch.cat(positions, dim=1), torch.cat(offsets, dim=0)


def _interleaved(config: Any, ids_BT: torch.Tensor) -> torch.Tensor:
    """Which rows have sound inside a video: (B,), bool."""
    first = ids_BT[:, :-1] == config.vision_start_token_id
    second = ids_BT[:, 1:] == config.audio_start_token_id
    inside_B: torch.Tensor = (first & second).any(dim=1)
    return inside_B


OWNER.get_rope_index = get_rope_index
