"""The chain does not repeat itself: 1 - distinct / all n-grams of words, in Chinese of characters (METHOD 3).

The measure is open-r1's repetition penalty (https://github.com/huggingface/open-r1, `get_repetition_penalty_reward`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from c2f_spec.spec.filters import Repetition
    from runtime.chains import Answer
    from runtime.clips import Clip


def check(answer: Answer, clip: Clip, facts: Mapping[str, Any], spec: Repetition) -> str | None:  # noqa: ARG001
    """Why the chain is dropped, or `None`. `facts["language"]` is the prompt's."""
    words = (answer.think or "").lower().split()
    units: Sequence[str] = "".join(words) if facts["language"] == "zh" else words
    count = len(units) - spec.ngram + 1
    if count <= 0:
        return None
    distinct = len(set(zip(*(units[i : i + count] for i in range(spec.ngram)), strict=True)))
    share = 1 - distinct / count
    if share <= spec.max_share:
        return None
    return f"{share:.0%} of its {spec.ngram}-grams are repeated, more than {spec.max_share:.0%}"
