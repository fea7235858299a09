"""The chain's score has the polarity of its tag, by the 3-class rule of the data set's family (METHOD 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.clips import polarity_of
from runtime.findings import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import TagScoreSign
    from runtime.chains import Answer
    from runtime.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: TagScoreSign) -> Failed | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`."""
    if answer.score is None or polarity_of(answer.score, facts["family"], facts["high"]) == answer.polarity:
        return None
    return Failed(f"says {answer.polarity}, but its score is {answer.score:g}", answer.score)
