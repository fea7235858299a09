"""The filter `repetition`: 1 - distinct / all `ngram`-grams must be at most `max_share` (METHOD 3).

N-grams are of words, in Chinese of characters.

The measure is open-r1's repetition penalty (https://github.com/huggingface/open-r1, `get_repetition_penalty_reward`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from runtime.filters.outcome import Chain, Failed, lower_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.spec.filters import Repetition

NUMBERED = 4
"""Length in characters of n-grams that fit 64 bits, which numpy counts ten times faster than sets count tuples."""


def check(chain: Chain, spec: Repetition) -> Failed | None:
    words = lower_case(chain.think).split()
    units: Sequence[str] = "".join(words) if chain.facts["language"] == "zh" else words
    count = len(units) - spec.ngram + 1
    if count <= 0:
        return None
    share = 1 - _distinct(units, spec.ngram) / count
    if share <= spec.max_share:
        return None
    much = f"{share:.0%} of its {spec.ngram}-grams are repeated, more than {spec.max_share:.0%}"
    return Failed(much, round(share, 6))


def _distinct(units: Sequence[str], n: int) -> int:
    """Return the number of distinct n-grams."""
    if isinstance(units, str) and n == NUMBERED:
        data = units.encode("utf-16-le", "surrogatepass")
        if len(data) == 2 * len(units):  # no character takes two
            return _different(data)
    count = len(units) - n + 1
    return len(set(zip(*(units[i : i + count] for i in range(n)), strict=True)))


def _different(data: bytes) -> int:
    """Return the number of distinct runs of 4 characters in UTF-16 `data`, each read as a number of 64 bits."""
    starts = range(0, 8, 2)
    grams = np.concatenate([np.frombuffer(data, "<u8", (len(data) - start) // 8, start) for start in starts])
    grams.sort()
    return 1 + int(np.count_nonzero(grams[1:] != grams[:-1]))
