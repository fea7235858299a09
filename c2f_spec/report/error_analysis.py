"""Where the last models err, and how they fare on other data than they were trained on."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from c2f_spec.metrics.errors_by_class import calibration, confusions
from c2f_spec.report.model import Errors, Shift
from c2f_spec.report.results import domain
from c2f_spec.report.scores import ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.report.scores import Group, ScoreCell, ScoreCells


def errors(found: Sequence[Group], cells: ScoreCells) -> tuple[Errors, ...]:
    """Of each experiment's last checkpoint on each of its test sets, all seeds together."""
    return tuple(one for group in found for one in _group_errors(group, cells))


def _group_errors(group: Group, cells: ScoreCells) -> Iterator[Errors]:
    variant, last = group.variants[0], cells.last(group)
    experiment = variant.experiment
    for name in experiment.evaluate.datasets if experiment.evaluate and last else ():
        cell, facts = cells.cell(group, last or "", name), experiment.data.known[name]
        if cell.scores:
            yield Errors(
                group=group.name,
                checkpoint=cell.checkpoint,
                dataset=name,
                domain=domain(variant, cells.outputs, name),
                low=facts.low,
                high=facts.high,
                confusions=confusions(cell.runs, facts),
                calibration=calibration(cell.runs, facts),
            )


def shifts(found: Sequence[Group], cells: ScoreCells) -> tuple[Shift, ...]:
    """Of each checkpoint that has results both in-domain and out-of-domain; overlapping data is neither."""
    return tuple(one for group in found for one in _shifts(group, cells))


def _shifts(group: Group, cells: ScoreCells) -> Iterator[Shift]:
    variant = group.variants[0]
    asked = variant.experiment.evaluate
    for checkpoint in (c for c in ORDER if asked and c in asked.checkpoints):
        inside: list[ScoreCell] = []
        outside: list[ScoreCell] = []
        for name in asked.datasets if asked else ():
            cell, where = cells.cell(group, checkpoint, name), domain(variant, cells.outputs, name)
            if cell.scores and where in ("in-domain", "out-of-domain"):
                (inside if where == "in-domain" else outside).append(cell)
        acc = [_mean(side, "Acc2") for side in (inside, outside)]
        if acc[0] is not None and acc[1] is not None:
            corr = [_mean(side, "Corr") for side in (inside, outside)]
            yield Shift(group.name, checkpoint, acc[0], acc[1], corr[0], corr[1], len(outside))


def _mean(side: Sequence[ScoreCell], metric: str) -> float | None:
    """Over test sets; `None` if it is undefined on any."""
    values = [over.mean for cell in side for name, over in cell.scores.items() if name == metric]
    known = [v for v in values if v is not None]
    return fmean(known) if known and len(known) == len(values) else None
