"""How many clips a data set has and how long they are: what tokens and steps are estimated from (METHOD 5, 8.3).

Counts by split are the published ones; a staged copy may differ by a clip or two, which an estimate does not feel.
Those of the rated sentences are counted from the files of vaderSentiment 2.5, split as `runtime/datasets` splits them.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.spec.datasets import DATASETS

if TYPE_CHECKING:
    from c2f_spec.spec.datasets import Split
    from c2f_spec.spec.sections import Data
    from c2f_spec.spec.student import Media

PATCH = 28 * 28
"""Pixels of a frame that become one token, over two frames."""
AUDIO_TOKENS = 25
"""Tokens a second of sound."""


class Clips(NamedTuple):
    """The size of a data set."""

    train: int
    valid: int
    test: int
    seconds: float
    """Mean length of a clip."""


def _published(dataset: str, seconds: float) -> Clips:
    counts = DATASETS[dataset].counts
    assert counts is not None
    return Clips(*counts, seconds)


CLIPS: dict[str, Clips] = {
    "cmu-mosi": _published("cmu-mosi", 4.2),
    "cmu-mosei": _published("cmu-mosei", 7.3),
    "ch-sims": _published("ch-sims", 3.7),
    "ch-sims-v2": _published("ch-sims-v2", 3.6),
    "icwsm2014-movie": Clips(7453, 1065, 2087, 2.0),
    "icwsm2014-amazon": Clips(0, 0, 3708, 2.0),
    "icwsm2014-nyt": Clips(0, 0, 5190, 2.0),
    "icwsm2014-tweets": Clips(0, 0, 4200, 2.0),
}
"""By name; a test holds it against `DATASETS`."""


def extent(data: Data, dataset: str) -> Clips:
    """Of a data set that a spec names: its own word for its own ones."""
    for one in data.own:
        if one.name == dataset:
            return Clips(*(one.facts.counts or (0, 0, 0)), one.seconds)
    return CLIPS[dataset]


def clips_of(data: Data, dataset: str, split: Split) -> int:
    """Clips of a split, of which a spec may take fewer."""
    facts, most = extent(data, dataset), getattr(data.limit, split)
    there: int = getattr(facts, split) if split in data.known[dataset].splits else 0
    return min(there, most) if most is not None else there


def prompt_tokens(seconds: float, media: Media, text: int) -> int:
    """Of a clip of mean length: pairs of frames at full size, sound, and `text` tokens besides."""
    frames = min(media.max_frames, seconds * media.fps)
    return max(2, ceil(frames / 2)) * (media.max_pixels // PATCH) + ceil(seconds * AUDIO_TOKENS) + text
