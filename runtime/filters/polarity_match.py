"""The chain's polarity is the label's (paper: consistency of prediction and ground truth)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from c2f_spec.spec.filters import PolarityMatch
    from runtime.chains import Answer
    from runtime.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: PolarityMatch) -> str | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`."""
    return (
        None if answer.polarity == clip.polarity else f"says {answer.polarity}, the label is {clip.polarity}"
    )
