"""The filter `polarity_match`: a chain's polarity tag must be the label's polarity (paper: consistency)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.filters.outcome import Chain, Failed

if TYPE_CHECKING:
    from c2f_spec.spec.filters import PolarityMatch


def check(chain: Chain, spec: PolarityMatch) -> Failed | None:  # noqa: ARG001
    stated, label = chain.answer.polarity, chain.clip.polarity
    return None if stated == label else Failed(f"says {stated}, the label is {label}", stated)
