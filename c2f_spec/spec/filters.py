"""Which of the teacher's chains are kept (METHOD 3). The format filter always comes first: the others need its parts.

A filter is on if it is named. They run in the order of the fields here, cheap and decisive first. The code of each is
`runtime/filters/<name>.py`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from c2f_spec.spec.base import SpecModel


class PolarityMatch(SpecModel):
    """Drop a chain whose polarity is not the label's (paper: consistency with the ground truth)."""


class TagScoreSign(SpecModel):
    """Drop a chain whose score has another polarity than its tag. Not in the paper."""


class ScoreTolerance(SpecModel):
    """Drop a chain whose score is too far from the label. The idea is the paper's, the value ours."""

    max_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2, description="Largest error, as a fraction of the data set's range. Not in the paper."
    )


class Sections(SpecModel):
    """Drop a chain without its four numbered parts, once each and in order. Not in the paper."""

    min_chars: PositiveInt = Field(default=20, description="Fewest characters of each part.")


class NoLabelLeak(SpecModel):
    """Drop a chain that speaks of a label or quotes a score (METHOD 3, LEAK and SCOREWORD). Not in the paper."""


class Filters(SpecModel):
    """The filters that are on, by name, and what is done with what they keep."""

    polarity_match: PolarityMatch | None = Field(default=None, description="Polarity equals the label's.")
    tag_score_sign: TagScoreSign | None = Field(default=None, description="Tag and score agree.")
    score_tolerance: ScoreTolerance | None = Field(default=None, description="Score near the label.")
    sections: Sections | None = Field(default=None, description="Four parts present.")
    no_label_leak: NoLabelLeak | None = Field(default=None, description="No mention of a label or a score.")
    replace_score_with_label: bool = Field(
        default=True, description="Kept chains get the label as their score (paper)."
    )
    min_keep_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.3, description="Refuse to go on if a smaller share is kept. Not in the paper."
    )


NAMES: tuple[str, ...] = ("polarity_match", "tag_score_sign", "score_tolerance", "sections", "no_label_leak")
"""The filters, in the order in which they run."""
