"""The hint policy: what happens in GRPO to hard samples (METHOD 1.8, 6; paper, hint-guided sampling).

There is no `enabled`: `hard_policy` says it. A preset is a hint policy by name; its fields are filled in when the spec
is read, before anything is keyed, so a preset and the same fields written out are the same experiment.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from c2f_spec.spec.base import (
    COSMETIC,
    DIGEST_PATTERN,
    DISCRIMINATORS,
    PLACEMENT,
    TAG_PATTERN,
    Fraction,
    Named,
    SpecModel,
    Word,
    at_default,
)

NonZeroFraction = Annotated[float, Field(gt=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]

FILE_PATTERN = r"^(s3://)?[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"
"""No path that begins at the root or climbs out of its folder."""

# ---- when a sample is hard


class AllBelow(SpecModel):
    """A sample is hard if all its answers lie below the threshold (paper: "all incorrect")."""

    kind: Literal["all_below"] = "all_below"
    metric: Literal["total", "polarity", "score", "correct"] = Field(
        default="total",
        description="What is compared: the total reward, one reward without its weight, or 1 for a right polarity in "
        "a well-formed answer.",
    )
    threshold: Annotated[float | None, Word("auto")] = Field(
        default=None,
        description="Compared with `<`; `auto` is the weights of format and polarity together. Not in the paper.",
    )


class PassRate(SpecModel):
    """A sample is hard if few of its answers have the right polarity (SAGE-light)."""

    kind: Literal["pass_rate"] = "pass_rate"
    max_rate: Fraction = Field(description="Most of the answers with the right polarity.")
    ema: OpenFraction | None = Field(
        default=None,
        description="Weight of this step in the sample's running mean; absent: this step alone.",
    )


class ZeroVariance(SpecModel):
    """A sample is hard if all its answers are rewarded alike, and badly."""

    kind: Literal["zero_variance"] = "zero_variance"
    eps: NonNegativeFloat = Field(default=1e-6, description="Standard deviations up to it are zero.")
    only_if_mean_below: float | None = Field(
        default=None,
        description="And the mean total is below it; without it groups that are all right fire too.",
    )


class OfflineList(SpecModel):
    """The samples that earlier rollouts found hard, from a file (METHOD 1.8)."""

    kind: Literal["offline_list"] = "offline_list"
    uri: Annotated[str, Field(pattern=FILE_PATTERN)] | None = Field(
        default=None,
        description="File of clip ids, one a line: a path below the folder where `apply` is called, or `s3://bucket/path`.",
        json_schema_extra=PLACEMENT,
    )
    digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] = Field(
        description="BLAKE3 of the file: the list itself is what is keyed."
    )


class Always(SpecModel):
    """Every sample is hinted (Hint-GRPO, UFT)."""

    kind: Literal["always"] = "always"


Trigger = Annotated[
    AllBelow | PassRate | ZeroVariance | OfflineList | Always, Field(discriminator="kind"), Named("all_below")
]

# ---- what the hint says, and how much of it


class PolarityContent(SpecModel):
    """The true polarity (paper)."""

    kind: Literal["polarity"] = "polarity"


class PolarityBinContent(SpecModel):
    """The true polarity with a word for its strength."""

    kind: Literal["polarity_bin"] = "polarity_bin"
    bins: Annotated[int, Field(ge=2, le=4)] = Field(default=2, description="Words for strength.")


class TracePrefixContent(SpecModel):
    """The polarity and the first part of the sample's distilled chain."""

    kind: Literal["trace_prefix"] = "trace_prefix"
    unit: Literal["section", "ratio"] = Field(
        default="section", description="Whether a level is a number of sections or a share of the tokens."
    )


class TextContent(SpecModel):
    """A column of the manifest, as free text."""

    kind: Literal["text"] = "text"
    column: Annotated[str, Field(pattern=TAG_PATTERN)] = Field(description="Name of the column.")


Content = Annotated[
    PolarityContent | PolarityBinContent | TracePrefixContent | TextContent,
    Field(discriminator="kind"),
    Named("polarity"),
]


class FixedLevel(SpecModel):
    """Always as much of the content."""

    kind: Literal["fixed"] = "fixed"
    level: NonZeroFraction = Field(default=1.0, description="Share of the content that is given.")


class LadderLevel(SpecModel):
    """The smallest level that works (GHPO, Scaf-GRPO, SAGE, Hint-GRPO)."""

    kind: Literal["ladder"] = "ladder"
    levels: tuple[NonZeroFraction, ...] = Field(
        default=(0.25, 0.5, 0.75), min_length=2, description="Shares of the content, rising."
    )
    parallel: bool = Field(default=False, description="Try all levels at once, as Hint-GRPO does.")


class AnnealLevel(SpecModel):
    """Less and less in the course of training (UFT, Prefix-RFT, QuestA)."""

    kind: Literal["anneal"] = "anneal"
    shape: Literal["cosine", "linear", "stages"] = Field(default="cosine", description="Course of the share.")
    start: Fraction = Field(default=0.95, description="Share at the first step.")
    end: Fraction = Field(default=0.05, description="Share at the last hinted step.")
    over: NonZeroFraction = Field(default=0.6, description="Share of training after which no hint is given.")


class AdaptiveLevel(SpecModel):
    """The level that makes the sample neither easy nor hopeless (SEELE, ADHint, G2RPO-A)."""

    kind: Literal["adaptive"] = "adaptive"
    target_pass_rate: OpenFraction = Field(default=0.5, description="Share of right answers to aim at.")


Level = Annotated[
    FixedLevel | LadderLevel | AnnealLevel | AdaptiveLevel, Field(discriminator="kind"), Named("fixed")
]

# ---- what becomes of the group, and of the tokens that were forced


class ReplaceAll(SpecModel):
    """The whole group of a hard sample is generated again with the hint (paper: the model regenerates)."""

    kind: Literal["replace_all"] = "replace_all"


class ReplaceK(SpecModel):
    """`k` hinted answers take the place of as many of the others (Scaf-GRPO)."""

    kind: Literal["replace_k"] = "replace_k"
    k: PositiveInt = Field(description="Hinted answers of a group.")


class Append(SpecModel):
    """`k` hinted answers join the group (LUFFY)."""

    kind: Literal["append"] = "append"
    k: PositiveInt = Field(description="Hinted answers that are added.")


Group = Annotated[ReplaceAll | ReplaceK | Append, Field(discriminator="kind"), Named("replace_all")]


class MaskLoss(SpecModel):
    """No loss, no KL and no length: the policy did not sample them (Hint-GRPO's code)."""

    mode: Literal["mask"] = "mask"


class PolicyGradientLoss(SpecModel):
    """Policy gradient, as if the policy had sampled them."""

    mode: Literal["policy_gradient"] = "policy_gradient"


class SftLoss(SpecModel):
    """Cross entropy beside the policy gradient of the rest (UFT)."""

    mode: Literal["sft"] = "sft"
    coef: PositiveFloat = Field(default=0.001, description="Its weight (UFT: 0.001).")


class ShapedLoss(SpecModel):
    """Policy gradient with weight p / (p + gamma), so that unlikely tokens count (LUFFY)."""

    mode: Literal["shaped"] = "shaped"
    gamma: PositiveFloat = Field(default=0.1, description="LUFFY: 0.1.")


ForcedLoss = Annotated[
    MaskLoss | PolicyGradientLoss | SftLoss | ShapedLoss,
    Field(discriminator="mode"),
    Named("mask", by="mode"),
]


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
    """The hint policy for hard samples: the true polarity is put at the start of the answer, and the model goes on."""

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
        """Put the preset's fields below those that are written. An unknown preset is refused by its own field."""
        if isinstance(data, dict) and data.get("preset") in PRESETS:
            return merge_fields(PRESETS[data["preset"]], data)
        return data


def merge_fields(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge maps; a member of another kind replaces the whole map, whose fields mean nothing to it."""
    merged = dict(below)
    for name, value in above.items():
        under = below.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            same = all(value.get(d, under.get(d)) == under.get(d) for d in DISCRIMINATORS)
            merged[name] = merge_fields(under, value) if same else value
        else:
            merged[name] = value
    return merged
