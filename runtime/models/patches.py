"""Changes to torchvision and transformers that the student needs; importing this module makes them.

- PyPI's torchvision is built against CUDA: beside a CPU build of torch its compiled operators do not load, and then even
  unrelated imports of transformers fail with "operator torchvision::nms does not exist". Where they are missing, the two
  operators whose Python side is registered at import are declared, before transformers is imported. Nothing calls them.
- Progress bars of transformers are switched off: on stderr they would interleave with the stage's log.
- `get_rope_index`, the positions of tokens, numbers each row by itself where sound is interleaved with the frames
  (`media.audio: in_video`). The model numbers a whole batch by one rule, which the argument `use_audio_in_video` selects. TRL
  does not pass it, and a clip without sound needs the other rule than its neighbours; left out, it raises nothing and
  shifts positions. A row of interleaved sound shows itself: the sound begins right behind `vision_start_token_id`. A batch
  without such a row takes the model's own way. The class is changed instead of a subclass, because TRL loads the
  reference model by the name of the class that the checkpoint states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATORS = ("nms", "qnms")


def declare_missing_operators() -> torch.library.Library | None:
    """Return the library that declares them, which must stay alive; `None` where torchvision brings its own."""
    try:
        import torchvision  # type: ignore[import-untyped]  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    return library


LIBRARY = declare_missing_operators()

# isort: off
from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as qwen  # noqa: E402
from transformers.utils.logging import disable_progress_bar  # noqa: E402
# isort: on

disable_progress_bar()

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
    """Return positions (3, B, T) and their offsets (B, 1). Shapes: video_grid_thw (V, 3), audio_seqlens (A,),
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
    video, sound = 0, 0
    positions, offsets = [], []
    for ids_T, mask_T, rule in zip(input_ids, mask_BT, inside.tolist(), strict=True):
        videos = int((ids_T == self.config.vision_start_token_id).sum())
        sounds = int((ids_T == self.config.audio_start_token_id).sum())
        position, offset = _batch_wise(
            self,
            ids_T[None],
            None,
            video_grid_thw[video : video + videos] if videos else None,
            mask_T[None],
            rule,
            audio_seqlens[sound : sound + sounds] if audio_seqlens is not None else None,
            second_per_grids[video : video + videos] if second_per_grids is not None else None,
        )
        video, sound = video + videos, sound + sounds
        positions.append(position)
        offsets.append(offset)
    return torch.cat(positions, dim=1), torch.cat(offsets, dim=0)


def _interleaved(config: Any, ids_BT: torch.Tensor) -> torch.Tensor:
    """Return which rows have sound inside a video: (B,), bool."""
    first = ids_BT[:, :-1] == config.vision_start_token_id
    second = ids_BT[:, 1:] == config.audio_start_token_id
    inside_B: torch.Tensor = (first & second).any(dim=1)
    return inside_B


OWNER.get_rope_index = get_rope_index
