"""Filters of the teacher's chains (METHOD 3), in the order in which they run: cheap and decisive first.

Those that METHOD 3 turns on are on by default, and `null` turns one off; `format` is always on, because the others need
its parts. The code of each is `runtime/filters/<name>.py`. Filters repeat `on_fail` word for word, so that each reads by itself.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from c2f_spec.spec.base import ENDPOINT_PATTERN, PLACEMENT, Fraction, Name, SpecModel, at_default
from c2f_spec.spec.endpoint import Client

OnFail = Annotated[
    Literal["drop", "retry", "flag"],
    Field(
        description="`drop` the chain (paper: the others are kept), ask the teacher again (`retry`, at most "
        "`teacher.retry` times), or keep it and `flag` it."
    ),
]
NonZeroFraction = Annotated[float, Field(gt=0, le=1)]


class FormatFilter(SpecModel):
    """Drop a chain that is not exactly the format (METHOD 1.3). Always on."""

    on_fail: OnFail = "drop"


class PolarityMatch(SpecModel):
    """Drop a chain whose polarity is not the label's (paper: consistency with the ground truth)."""

    on_fail: OnFail = "drop"


class TagScoreSign(SpecModel):
    """Drop a chain whose score has another polarity than its tag. Not in the paper."""

    on_fail: OnFail = "drop"


class ScoreTolerance(SpecModel):
    """Drop a chain whose score is too far from the label. The idea is the paper's, the value ours."""

    max_fraction: NonZeroFraction = Field(
        default=0.2, description="Largest error, as a fraction of the data set's range. Not in the paper."
    )
    max_abs: PositiveFloat | None = Field(
        default=None, description="Largest error in units of the score, instead of `max_fraction`."
    )
    on_fail: OnFail = "drop"


class Sections(SpecModel):
    """Drop a chain without its four numbered parts, once each and in order. Not in the paper."""

    min_chars: PositiveInt = Field(
        default=20, description="Fewest characters of each part. Not in the paper."
    )
    on_fail: OnFail = "drop"


class Length(SpecModel):
    """Drop a chain that is too short to reason or too long to train on. Not in the paper."""

    unit: Literal["tokens", "words", "chars"] = Field(
        default="tokens", description="What is counted; tokens are the student's. Not in the paper."
    )
    min: PositiveInt = Field(default=60, description="Fewest of the chain of thought. Not in the paper.")
    max: PositiveInt = Field(default=512, description="Most of the chain of thought. Not in the paper.")
    on_fail: OnFail = "drop"


class NoLabelLeak(SpecModel):
    """Drop a chain that speaks of a label or quotes a score (METHOD 3, LEAK and SCOREWORD). Not in the paper."""

    on_fail: OnFail = "drop"


class ModalityMention(SpecModel):
    """Drop a chain that says it could not see or hear (METHOD 3, DENIAL). Not in the paper."""

    on_fail: OnFail = "drop"


class LanguageFilter(SpecModel):
    """Drop a chain that is not written in the prompt's language. Not in the paper."""

    min_share: NonZeroFraction = Field(
        default=0.7,
        description="Least share of letters that are Chinese, or ASCII for English. Not in the paper.",
    )
    on_fail: OnFail = "drop"


class Repetition(SpecModel):
    """Drop a chain that repeats itself (open-r1's repetition penalty): 1 - distinct / all n-grams. Not in the paper."""

    ngram: Annotated[int, Field(ge=2)] = Field(
        default=4, description="Words, or Chinese characters, of an n-gram. Not in the paper."
    )
    max_share: Fraction = Field(default=0.25, description="Most of the n-grams repeated. Not in the paper.")
    on_fail: OnFail = "drop"


class DialogueFidelity(SpecModel):
    """Drop a chain that quotes words which were not said. Not in the paper."""

    min_overlap: NonZeroFraction = Field(
        default=0.5,
        description="Least share of the words quoted in section 1 that occur in the transcript. Not in the paper.",
    )
    on_fail: OnFail = "drop"


class Dedup(SpecModel):
    """Drop a chain that is nearly another clip's: a template says nothing of its clip. Not in the paper."""

    max_jaccard: NonZeroFraction = Field(
        default=0.9, description="Most of the 3-grams of words that two chains share. Not in the paper."
    )
    on_fail: OnFail = "drop"


class Judge(SpecModel):
    """Drop a chain that a language model finds wanting (LLaVA-CoT, HumanOmniV2). It reads words only. Not in the paper."""

    model: str = Field(description="The judge, as its endpoint calls it.")
    endpoint: Annotated[str, Field(pattern=ENDPOINT_PATTERN)] = Field(
        description="URL of an endpoint that speaks the OpenAI protocol, up to and with `/v1`; no user or password in it.",
        json_schema_extra={**PLACEMENT, "examples": ["https://judge.example.org/v1"]},
    )
    secret: Name | None = Field(
        default=None,
        description="Name of the environment's secret with the key, as for a teacher; never the key itself.",
        json_schema_extra=PLACEMENT,
    )
    client: Client = Field(
        default=at_default(Client),
        description="How fast, how patiently and for how much it is asked.",
        json_schema_extra=PLACEMENT,
    )
    min_score: Annotated[float, Field(ge=1, le=5)] = Field(
        default=3.0, description="Least mark, of 1 to 5. Not in the paper."
    )
    on_fail: OnFail = "drop"


class Most(SpecModel):
    """At most so many kept chains of a polarity, the first in manifest order; absent means all. Not in the paper."""

    negative: PositiveInt | None = Field(
        default=None, description="Chains of negative clips. Not in the paper."
    )
    neutral: PositiveInt | None = Field(
        default=None, description="Chains of neutral clips. Not in the paper."
    )
    positive: PositiveInt | None = Field(
        default=None, description="Chains of positive clips. Not in the paper."
    )


class Filters(SpecModel):
    """The filters by name, and what is done with what they keep. `null` turns a filter off."""

    format: FormatFilter = Field(
        default=at_default(FormatFilter), description="Exactly the format; always on."
    )
    polarity_match: PolarityMatch | None = Field(
        default=at_default(PolarityMatch), description="Polarity equals the label's (paper)."
    )
    tag_score_sign: TagScoreSign | None = Field(
        default=at_default(TagScoreSign), description="Tag and score agree. Not in the paper."
    )
    score_tolerance: ScoreTolerance | None = Field(
        default=at_default(ScoreTolerance),
        description="Score near the label. The idea is the paper's, the value ours. Not in the paper.",
    )
    sections: Sections | None = Field(
        default=at_default(Sections), description="Four parts present. Not in the paper."
    )
    length: Length | None = Field(
        default=at_default(Length), description="Neither too short nor too long. Not in the paper."
    )
    no_label_leak: NoLabelLeak | None = Field(
        default=at_default(NoLabelLeak), description="No mention of a label or a score. Not in the paper."
    )
    modality_mention: ModalityMention | None = Field(
        default=at_default(ModalityMention),
        description="Does not say that it could not see or hear. Not in the paper.",
    )
    language: LanguageFilter | None = Field(
        default=at_default(LanguageFilter), description="Written in the prompt's language. Not in the paper."
    )
    repetition: Repetition | None = Field(
        default=at_default(Repetition), description="Does not repeat itself. Not in the paper."
    )
    dialogue_fidelity: DialogueFidelity | None = Field(default=None, description="Quotes what was said.")
    dedup: Dedup | None = Field(default=None, description="Unlike the chains of other clips.")
    judge: Judge | None = Field(default=None, description="Good, in the eyes of a language model.")
    replace_score_with_label: bool = Field(
        default=True, description="Kept chains get the label as their score (paper)."
    )
    min_keep_fraction: Fraction = Field(
        default=0.3, description="Refuse to go on if a smaller share is kept. Not in the paper."
    )
    min_keep_polarity: NonNegativeInt = Field(
        default=10,
        description="Refuse to go on if fewer chains of a polarity are kept, where the set has at least twice as many clips "
        "of it. Not in the paper.",
    )
    rebalance: Literal["none", "cap"] = Field(
        default="none",
        description="`cap` keeps at most twice as many chains of a polarity as of the rarest. Not in the paper.",
    )
    most: Most = Field(
        default=at_default(Most),
        description="At most so many chains of a polarity, for studies of one that fine-tuning rarely sees; before "
        "`rebalance`.",
    )


SETTINGS = ("replace_score_with_label", "min_keep_fraction", "min_keep_polarity", "rebalance", "most")
NAMES: tuple[str, ...] = tuple(name for name in Filters.model_fields if name not in ("format", *SETTINGS))
"""The filters that can be turned off, in the order in which they run: that of the fields."""
