"""Sizes of models and data sets, from `config.json`, weight files and published counts (METHOD 8.3, 8.4)."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from c2f_spec.spec.datasets import Split
    from c2f_spec.spec.sections import Data
    from c2f_spec.spec.student import Lora, Media


PATCH = 28 * 28
"""Pixels of a frame that become one token, over two frames."""
AUDIO_TOKENS = 25
"""Tokens a second of sound."""


def clips_of(data: Data, dataset: str, split: Split) -> int:
    """Return the clips of a split, of which a spec may take fewer."""
    clips, most = data.known[dataset].counts[split], getattr(data.limit, split)
    return min(clips, most) if most is not None else clips


def prompt_tokens(seconds: float, media: Media, text: int) -> int:
    """Return the tokens of a clip of mean length: pairs of frames at full size, sound, and `text` tokens besides."""
    frames = min(media.max_frames, seconds * media.fps)
    return max(2, ceil(frames / 2)) * (media.max_pixels // PATCH) + ceil(seconds * AUDIO_TOKENS) + text


GIB = 2**30


class Size(NamedTuple):
    """Parameters and widths of a model; what is never loaded (the talker) is not counted."""

    text: float
    """Parameters of the text model: those that a tuner may train."""
    towers: float
    """Parameters of the vision and audio encoders."""
    active: float
    """Parameters of the text model that a token passes through; fewer than `text` in a mixture of experts."""
    hidden: int
    layers: int
    inner: int
    """Width of the feed-forward layers."""
    kv_heads: int
    head: int
    """Width of an attention head."""
    vocabulary: int

    @property
    def weights(self) -> float:
        """Return bytes of all weights in bfloat16."""
        return 2 * (self.text + self.towers)

    @property
    def kv(self) -> int:
        """Return bytes of the key-value cache for a token, in bfloat16."""
        return 2 * self.layers * self.kv_heads * self.head * 2

    def adapters(self, tuner: Lora) -> float:
        """Return the parameters of LoRA adapters on the linear layers that `tuner` names."""
        h, i, kv = self.hidden, self.inner, self.kv_heads * self.head
        ends = {"k_proj": h + kv, "v_proj": h + kv, "gate_proj": h + i, "up_proj": h + i, "down_proj": i + h}
        return self.layers * tuner.rank * sum(ends.get(name, h + h) for name in set(tuner.layers))


SIZES: dict[str, Size] = {
    "qwen2.5-omni-7b": Size(7.616e9, 1.315e9, 7.616e9, 3584, 28, 18944, 4, 128, 152_064),
    "qwen2.5-omni-3b": Size(3.40e9, 1.315e9, 3.40e9, 2048, 36, 11008, 2, 128, 151_936),
    "qwen3-omni-30b-a3b": Size(30.5e9, 1.2e9, 3.3e9, 2048, 48, 768, 4, 128, 151_936),
}
"""By the start of the repository's name, lower case."""


def size_of(model: str) -> Size | None:
    """Return the size of a repository's model; `None` for one that is not in the table."""
    name = model.lower().rpartition("/")[2]
    return next((size for start, size in SIZES.items() if name.startswith(start)), None)
