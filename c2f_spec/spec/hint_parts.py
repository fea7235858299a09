"""The parts of a hint policy: when a sample is hard, what the hint says and how much of it, what becomes of the group."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from c2f_spec.spec.base import DIGEST_PATTERN, PLACEMENT, TAG_PATTERN, Fraction, Named, SpecModel, Word

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
    """As much as makes the sample neither easy nor hopeless (SEELE, ADHint, G2RPO-A)."""

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
    """As if the policy had sampled them."""

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
