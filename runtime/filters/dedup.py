"""The filter `dedup`: the Jaccard similarity of two clips' chains must be below `max_jaccard` (METHOD 3).

It compares 3-grams of words, in Chinese of characters. Of similar chains the first in manifest order passes. Two sets that share at least the fraction t of their union share
one of the rarest n - ceil(t n) + 1 members of each (prefix filtering: Chaudhuri, Ganti and Kaushik 2006,
https://doi.org/10.1109/ICDE.2006.9), so only chains that meet there are compared, and none is missed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from runtime.filters.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.filters import Dedup
    from runtime.text.chains import Answer
    from runtime.text.clips import Clip

Grams = frozenset[tuple[str, ...]]
N = 3


def check_all(
    chains: Sequence[tuple[Clip, Answer]], facts: Mapping[str, Any], spec: Dedup
) -> dict[str, Failed]:
    """Return the outcome of each chain that is like an earlier one that passes, by clip id."""
    sets = [_grams(answer.think or "", facts["language"]) for _, answer in chains]
    often = Counter(gram for grams in sets for gram in grams)
    met: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    dropped: dict[str, Failed] = {}
    for i, ((clip, _), grams) in enumerate(zip(chains, sets, strict=True)):
        ordered = sorted(grams, key=lambda gram: (often[gram], gram))
        prefix = ordered[: len(ordered) - math.ceil(spec.max_jaccard * len(ordered) - 1e-9) + 1]
        near = {j for gram in prefix for j in met[gram]}
        alike = [(share, j) for j in near if (share := _jaccard(grams, sets[j])) >= spec.max_jaccard]
        if alike:
            share, j = max(alike, key=lambda pair: (pair[0], -pair[1]))
            words = f"{share:.0%} like the chain of `{chains[j][0].id}`"
            dropped[clip.id] = Failed(words, round(share, 6))
            continue
        for gram in prefix:
            met[gram].append(i)
    return dropped


def _grams(think: str, language: str) -> Grams:
    words = think.lower().split()
    units: Sequence[str] = "".join(words) if language == "zh" else words
    if len(units) < N:
        return frozenset([tuple(units)])
    return frozenset(tuple(units[i : i + N]) for i in range(len(units) - N + 1))


def _jaccard(a: Grams, b: Grams) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both)
