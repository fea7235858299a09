"""The hint policy: what happens in GRPO to hard samples (METHOD 1.8, 6; paper, hint-guided sampling).

There is no `enabled`: `hard_policy` says it. A preset is a hint policy by name; its fields are filled in when the spec
is read, before anything is keyed, so a preset and the same fields written out are the same experiment.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, model_validator

from c2f_spec.spec.base import COSMETIC, DISCRIMINATORS, SpecModel, at_default
from c2f_spec.spec.hint_parts import (
    AllBelow,
    Content,
    FixedLevel,
    ForcedLoss,
    Group,
    Level,
    MaskLoss,
    NonZeroFraction,
    PolarityContent,
    ReplaceAll,
    Trigger,
)

Preset = Literal[
    "c2f_thinker", "c2f_no_hint", "c2f_no_hard", "polarity_taught",
    "hint_grpo_iccv25", "ghpo", "scaf_grpo", "sage", "uft", "questa_50_25",
]  # fmt: skip

CORRECT = {"kind": "all_below", "metric": "correct", "threshold": 0.5}
"""Hard: no answer is well-formed with the right polarity."""

PRESETS: dict[str, dict[str, Any]] = {
    "c2f_thinker": {},  # every default is the paper's method
    "c2f_no_hint": {"hard_policy": "keep"},  # "w/o Hint", Table VI
    "c2f_no_hard": {"hard_policy": "drop"},  # "w/o Hard", Table VII
    # The forced tokens teach the polarity: METHOD 1.8 says why the paper's hint cannot.
    "polarity_taught": {
        "group": {"kind": "replace_k", "k": 2},
        "normalise": "joint",
        "polarity_reward_on_hinted": "exclude",
        "forced_loss": {"mode": "policy_gradient"},
    },
    # Of the literature (METHOD 6.1), as far as they can be said in these fields. No runtime does all of any of them yet:
    # `c2f_spec/spec/support.py` refuses each by its parts.
    "hint_grpo_iccv25": {
        "trigger": {"kind": "always"},
        "content": {"kind": "trace_prefix", "unit": "ratio"},
        "prefix_end": "after_think_open",
        "level": {"kind": "ladder", "levels": [0.0001, 0.5], "parallel": True},
    },
    "ghpo": {
        "trigger": CORRECT,
        "content": {"kind": "trace_prefix", "unit": "ratio"},
        "placement": "in_prompt",
        "prefix_end": "after_think_open",
        "level": {"kind": "ladder", "levels": [0.25, 0.5, 0.75]},
    },
    "scaf_grpo": {
        "trigger": CORRECT,
        "content": {"kind": "text", "column": "hint"},
        "placement": "in_prompt",
        "group": {"kind": "replace_k", "k": 1},
        "normalise": "joint",
        "warmup_steps": 50,
    },
    "sage": {
        "trigger": CORRECT,
        "content": {"kind": "text", "column": "hint"},
        "placement": "in_prompt",
        "level": {"kind": "ladder", "levels": [0.34, 0.67, 1.0]},
    },
    "uft": {
        "trigger": {"kind": "always"},
        "content": {"kind": "trace_prefix", "unit": "ratio"},
        "prefix_end": "after_think_open",
        "level": {"kind": "anneal"},
        "forced_loss": {"mode": "sft", "coef": 0.001},
    },
    "questa_50_25": {  # the list's digest and place are the spec's to say
        "trigger": {"kind": "offline_list"},
        "content": {"kind": "trace_prefix", "unit": "ratio"},
        "placement": "in_prompt",
        "prefix_end": "after_think_open",
        "level": {"kind": "anneal", "shape": "stages", "start": 0.5, "end": 0.25, "over": 1.0},
    },
}


class Hint(SpecModel):
    """What happens to hard samples: the true polarity is put at the start of the answer, and the model goes on."""

    preset: Preset | None = Field(
        default=None,
        description="Hint policy by name; further fields override its own.",
        json_schema_extra=COSMETIC,
    )
    hard_policy: Literal["hint", "keep", "drop"] = Field(
        default="hint",
        description="`hint`; `keep` them as they are (paper, Table VI, w/o Hint); `drop` them (Table VII, w/o Hard).",
    )
    trigger: Trigger = Field(default=at_default(AllBelow), description="When a sample is hard.")
    content: Content = Field(
        default=at_default(PolarityContent), description="What the hint says (paper: the polarity)."
    )
    placement: Literal["in_answer", "in_prompt"] = Field(
        default="in_answer",
        description="Where it stands (paper: at the beginning of the output), or in the user's turn.",
    )
    prefix_end: Literal["after_polarity", "after_think_open"] = Field(
        default="after_polarity", description="How much of the answer the hint writes. Not in the paper."
    )
    level: Level = Field(default=at_default(FixedLevel), description="How much of the content is given.")
    group: Group = Field(
        default=at_default(ReplaceAll),
        description="What becomes of the group: replaced (paper: regenerates), or mixed.",
    )
    normalise: Literal["separate", "joint"] = Field(
        default="separate",
        description="Whether hinted and other answers of a mixed group have a mean and deviation of their own. Not in "
        "the paper.",
    )
    forced_loss: ForcedLoss = Field(
        default=at_default(MaskLoss),
        description="Loss on the tokens of the hint, which were not sampled. Not in the paper.",
    )
    polarity_reward_on_hinted: Literal["keep", "exclude"] = Field(
        default="keep",
        description="Whether hinted answers earn the polarity that they were given. Not in the paper.",
    )
    if_still_bad: Literal["keep_hinted", "keep_unhinted", "skip"] = Field(
        default="keep_hinted", description="A group that is still hard with the hint. Not in the paper."
    )
    max_hinted_fraction: NonZeroFraction = Field(
        default=1.0, description="Most of a batch's groups that are hinted. Not in the paper."
    )
    warmup_steps: NonNegativeInt = Field(
        default=0, description="Optimiser steps before the first hint (Scaf-GRPO: 50). Not in the paper."
    )
    stop_after: NonZeroFraction = Field(
        default=1.0,
        description="Share of training after which hints stop, so that the model ends as it is used. Not in the paper.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of hard samples that get no hint, at random. Not in the paper."
    )

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        """The preset's fields, under those that are written. An unknown preset is left for its own field to refuse."""
        if isinstance(data, dict) and data.get("preset") in PRESETS:
            return overlaid(PRESETS[data["preset"]], data)
        return data


def overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Maps merge; a member of another kind replaces the whole map, whose fields mean nothing to it."""
    merged = dict(below)
    for name, value in above.items():
        under = below.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            same = all(value.get(d, under.get(d)) == under.get(d) for d in DISCRIMINATORS)
            merged[name] = overlaid(under, value) if same else value
        else:
            merged[name] = value
    return merged
