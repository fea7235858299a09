"""The filter `format`: an answer must be exactly in the format (METHOD 1.3). It runs first: the others need its parts."""

from __future__ import annotations

from runtime.filters.outcome import Chain, Failed


def check(chain: Chain, spec: None) -> Failed | None:  # noqa: ARG001
    return None if chain.answer.well_formed else Failed("not in the format")
