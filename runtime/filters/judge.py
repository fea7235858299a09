"""A language model finds the chain good: a mark of 1 to 5 by a rubric (LLaVA-CoT and HumanOmniV2 filter so).

Only chains that every other filter kept are asked about. `facts["stage"]` is the stage that asks, and keeps the marks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.findings import Failed
from runtime.judging import Judging

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from c2f_spec.spec.filters import Judge
    from runtime.chains import Answer
    from runtime.clips import Clip
    from runtime.judging import Mark


def check_all(
    chains: Sequence[tuple[Clip, Answer]], facts: Mapping[str, Any], spec: Judge
) -> dict[str, Failed]:
    """Id of each chain that is dropped, and why. Raises as `Judging`."""
    return wanting(Judging(facts["stage"], spec, facts["language"])(chains).values(), spec)


def wanting(marks: Iterable[Mark], spec: Judge) -> dict[str, Failed]:
    """What is made of the marks."""
    found = {}
    for mark in marks:
        if mark.value is None:
            found[mark.id] = Failed(f"the judge gave no mark: {mark.reason}")
        elif mark.value < spec.min_score:
            found[mark.id] = Failed(
                f"marked {mark.value:g}, less than {spec.min_score:g}: {mark.reason}", mark.value
            )
    return found
