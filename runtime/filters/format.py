"""The filter `format`: an answer must be exactly in the format (METHOD 1.3). It runs first: the others need its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.filters.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.text.chains import Answer
    from runtime.text.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: None) -> Failed | None:  # noqa: ARG001
    return None if answer.well_formed else Failed("not in the format")
