"""A trainer of two clips, two answers each, whose first clip is hard."""

from __future__ import annotations

from tests.support import hinted

HINT = "<polarity>Negative</polarity>\n\n"


def make(folder, policy="keep", rewards=None, threshold=0.5, **arguments):
    hint = {"hard_policy": policy, "trigger": {"kind": "all_below", "threshold": threshold}}
    sizes = {"per_device_train_batch_size": 4, "num_generations": 2}
    rewards = rewards or [length_of_second_clip]
    return hinted.make(folder, rewards=rewards, hint=hint, **{**sizes, **arguments})


def length_of_second_clip(prompts, completions, **_):
    """The first clip is always hard; the second is rewarded by what was written, in 128ths: means of float32 are exact."""
    return [
        0.0 if clip == "toy-00" else 1.0 + len(text) / 128
        for clip, text in zip(prompts, completions, strict=True)
    ]
