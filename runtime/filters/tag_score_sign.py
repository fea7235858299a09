"""The filter `tag_score_sign`: the score must have the polarity of the tag, by the family's 3-class rule (METHOD 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed
from runtime.text.clips import polarity_of

if TYPE_CHECKING:
    from c2f_spec.spec.filters import TagScoreSign


def check(chain: Chain, spec: TagScoreSign) -> Failed | None:  # noqa: ARG001
    answer, facts = chain.answer, chain.facts
    if answer.score is None or polarity_of(answer.score, facts["family"], facts["high"]) == answer.polarity:
        return None
    return Failed(f"says {answer.polarity}, but its score is {answer.score:g}", answer.score)
