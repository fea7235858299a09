"""Tables that a spec defines: variants by test sets, seeds together, if it asks against one of the variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report.compared import compared
from c2f_spec.report.seeds import named
from c2f_spec.report.tables import OwnColumn, OwnRow, OwnTable
from c2f_spec.spec.claims import METRICS, TableRow
from c2f_spec.spec.claims import OwnTable as Asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.metrics.effect import Effect
    from c2f_spec.report.cells import Cells
    from c2f_spec.report.seeds import Group

NO_VARIANT = "no variant of this plan"


def own_tables(found: Sequence[Group], cells: Cells) -> tuple[OwnTable, ...]:
    """Each definition once, in the order of the plan."""
    asked = dict.fromkeys(
        table for g in found for v in g.variants for table in v.experiment.tables if isinstance(table, Asked)
    )
    return tuple(_table(table, found, cells) for table in asked)


def _table(asked: Asked, found: Sequence[Group], cells: Cells) -> OwnTable:
    rows = asked.rows or tuple(TableRow(variant=g.name) for g in found if cells.last(g))
    columns = _columns(asked, found)
    base = named(tuple(found), asked.against) if asked.against else None
    made = [_row(row, columns, base, found, cells) for row in rows]
    return OwnTable(asked.name, asked.title, columns, tuple(made), asked.aggregate, asked.against or "")


def _columns(asked: Asked, found: Sequence[Group]) -> tuple[OwnColumn, ...]:
    if asked.columns:
        wanted = [(c.dataset, c.metrics) for c in asked.columns]
    else:
        evaluated = (v.experiment.evaluate for g in found for v in g.variants)
        wanted = [(name, ()) for name in dict.fromkeys(n for e in evaluated if e for n in e.datasets)]
    known = {name: facts for g in found for name, facts in g.variants[0].experiment.data.known.items()}
    return tuple(
        OwnColumn(name, metric)
        for name, metrics in wanted
        for metric in (metrics or METRICS[known[name].family])
    )


def _row(
    asked: TableRow, columns: Sequence[OwnColumn], base: Group | None, found: Sequence[Group], cells: Cells
) -> OwnRow:
    group = named(tuple(found), asked.variant)
    title = asked.title or (f"{asked.variant}, {asked.checkpoint}" if asked.checkpoint else asked.variant)
    checkpoint = asked.checkpoint or (cells.last(group) if group else None)
    if group is None or checkpoint is None:
        return OwnRow(
            title, f"{NO_VARIANT}: {asked.variant}" if group is None else "not evaluated", {}, {}, ()
        )
    own = {name: cells.of(group, checkpoint, name) for name in dict.fromkeys(c.dataset for c in columns)}
    state = (
        ""
        if any(cell.scores for cell in own.values())
        else "; ".join(dict.fromkeys(m for cell in own.values() for m in cell.missing))
    )
    against: dict[OwnColumn, Effect] = {}
    notes = []
    last = cells.last(base) if base else None
    if base is not None and last is not None and (group, checkpoint) != (base, last):
        for name, cell in own.items():
            made, why = compared(cell, cells.of(base, last, name), base)
            against |= {OwnColumn(name, one.metric): one for one in made}
            notes += [f"{name}: {why}"] if why else []
    return OwnRow(title, state, own, against, tuple(notes))
