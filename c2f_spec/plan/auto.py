"""`auto` as the number that it stands for: a key must not tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.spec.base import identity

if TYPE_CHECKING:
    from c2f_spec.spec.grpo import Grpo


def resolved(grpo: Grpo) -> dict[str, Any]:
    """The identity of a section with `auto` replaced by its number: the weights of the format and polarity rewards together."""
    spec = identity(grpo)
    asked, rewards = grpo.hint.trigger, grpo.rewards
    if grpo.hint.hard_policy == "keep" or asked.kind != "all_below" or asked.threshold is not None:
        return spec
    assert rewards.format is not None
    assert rewards.polarity is not None
    hint = spec.get("hint", {})
    trigger = {
        **hint.get("trigger", {"kind": "all_below"}),
        "threshold": rewards.format.weight + rewards.polarity.weight,
    }
    return {**spec, "hint": {**hint, "trigger": trigger}}
