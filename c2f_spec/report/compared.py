"""Two cells on the same test set, tested as pairs: every metric, all from one draw of the clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.errors import DataWrong
from c2f_spec.metrics.effect import effects
from c2f_spec.spec.claims import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.metrics.effect import Effect
    from c2f_spec.report.cells import Cell
    from c2f_spec.report.seeds import Group


def compared(cell: Cell, other: Cell, base: Group) -> tuple[tuple[Effect, ...], str]:
    """`cell` minus `other` as the baseline's spec says; or nothing, and why."""
    asked = base.variants[0].experiment.evaluate
    if asked is None or not (cell.scores and other.scores):
        lacking = next((c for c in (cell, other) if not c.scores), other)
        return (), "; ".join(lacking.missing) or f"{lacking.group} is not evaluated on it"
    facts = base.variants[0].experiment.data.known[cell.dataset]
    runs, others = _matched(cell, other)
    try:
        found = effects(runs, others, METRICS[facts.family], facts, asked.unparsable, asked.bootstrap)
    except DataWrong as error:
        return (), error.message
    return found, ""


def _matched(cell: Cell, other: Cell) -> tuple[Sequence[Any], Sequence[Any]]:
    """The runs of the seeds that both have, pairwise; all of them where they share none, or one side has one run."""
    both = [s for s in cell.seeds if s in other.seeds]
    if not both or len(cell.seeds) == 1 or len(other.seeds) == 1:
        return cell.runs, other.runs
    return [cell.runs[cell.seeds.index(s)] for s in both], [other.runs[other.seeds.index(s)] for s in both]
