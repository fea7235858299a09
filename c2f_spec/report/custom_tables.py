"""Fill the tables that a spec defines, and format their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.report import numbers
from c2f_spec.report.paper_tables import without_overlap
from c2f_spec.report.report_data import PERCENT, CustomColumn, CustomRow, CustomTable, Grid, Number
from c2f_spec.report.scores import compare, find_group
from c2f_spec.spec.reporting import METRICS, TableRow
from c2f_spec.spec.reporting import OwnTable as Definition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.metrics.effect import Effect
    from c2f_spec.report.scores import Group, ScoreCells


NO_VARIANT = "no variant of this plan"
AGGREGATES = {
    "mean_sd": "mean ± standard deviation over seeds",
    "mean": "mean over seeds",
    "interval": "mean over seeds with its 95 % interval over clips",
    "seeds": "one number for each seed",
}
"""Aggregate over seeds → its description in the notes of a table."""


def custom_tables(groups: Sequence[Group], cells: ScoreCells) -> tuple[CustomTable, ...]:
    """Return a table for each distinct definition, in the order of the plan."""
    definitions = dict.fromkeys(
        table
        for g in groups
        for v in g.variants
        for table in v.experiment.tables
        if isinstance(table, Definition)
    )
    return tuple(_table(table, groups, cells) for table in definitions)


def _table(definition: Definition, groups: Sequence[Group], cells: ScoreCells) -> CustomTable:
    rows = definition.rows or tuple(TableRow(variant=g.name) for g in groups if cells.last(g))
    columns = _columns(definition, groups)
    base = find_group(tuple(groups), definition.against) if definition.against else None
    filled = [_row(row, columns, base, groups, cells) for row in rows]
    return CustomTable(
        definition.name,
        definition.title,
        columns,
        tuple(filled),
        definition.aggregate,
        definition.against or "",
    )


def _columns(definition: Definition, groups: Sequence[Group]) -> tuple[CustomColumn, ...]:
    if definition.columns:
        wanted = [(c.dataset, c.metrics) for c in definition.columns]
    else:
        evaluated = (v.experiment.evaluate for g in groups for v in g.variants)
        wanted = [(name, ()) for name in dict.fromkeys(n for e in evaluated if e for n in e.datasets)]
    known = {name: facts for g in groups for name, facts in g.experiment.data.known.items()}
    return tuple(
        CustomColumn(name, metric)
        for name, metrics in wanted
        for metric in (metrics or METRICS[known[name].family])
    )


def _row(
    definition: TableRow,
    columns: Sequence[CustomColumn],
    base: Group | None,
    groups: Sequence[Group],
    cells: ScoreCells,
) -> CustomRow:
    group = find_group(tuple(groups), definition.variant)
    title = definition.title or (
        f"{definition.variant}, {definition.checkpoint}" if definition.checkpoint else definition.variant
    )
    checkpoint = definition.checkpoint or (cells.last(group) if group else None)
    if group is None or checkpoint is None:
        return CustomRow(
            title, f"{NO_VARIANT}: {definition.variant}" if group is None else "not evaluated", {}, {}, ()
        )
    own = {name: cells.cell(group, checkpoint, name) for name in dict.fromkeys(c.dataset for c in columns)}
    state = (
        ""
        if any(cell.scores for cell in own.values())
        else "; ".join(dict.fromkeys(m for cell in own.values() for m in cell.missing))
    )
    against: dict[CustomColumn, Effect] = {}
    notes = []
    last = cells.last(base) if base else None
    if base is not None and last is not None and (group, checkpoint) != (base, last):
        for name, cell in own.items():
            effects, why = compare(cell, cells.cell(base, last, name), base)
            against |= {CustomColumn(name, one.metric): one for one in effects}
            notes += [f"{name}: {why}"] if why else []
    return CustomRow(title, state, own, against, tuple(notes))


def grid(table: CustomTable) -> Grid:
    """Return the table as text: variants by test sets and metrics."""
    several = len({c.dataset for c in table.columns}) > 1
    heads = (f"{c.metric}, {c.dataset}" if several else c.metric for c in table.columns)
    only = "" if several or not table.columns else f"On {table.columns[0].dataset}: "
    against = (
        f"; in brackets the difference to {table.against} and the p of a paired test" if table.against else ""
    )
    return Grid(
        name=table.name,
        title=table.title,
        heads=("variant", *heads),
        words=1,
        rows=tuple((row.title, *(format_cell(table, row, c) for c in table.columns)) for row in table.rows),
        notes=(f"{only}{AGGREGATES[table.aggregate]}{against}.", *_notes(table)),
        cells=tuple(cell for row in table.rows for cell in row.cells.values() if cell.sources),
    )


def format_cell(table: CustomTable, row: CustomRow, column: CustomColumn) -> str:
    """Return the text of a cell; a dash where there is no number."""
    cell = row.cells.get(column.dataset)
    over = cell.scores.get(column.metric) if cell else None
    if cell is None or over is None or over.mean is None:
        return "n/a" if over else "—"
    show = numbers.percent if column.metric in PERCENT else numbers.three
    text = show(over.mean)
    if table.aggregate == "mean_sd" and over.deviation is not None:
        text = f"{text} ± {show(over.deviation)}"
    elif table.aggregate == "interval":
        text = f"{text} {numbers.interval(over.interval, show)}".strip()
    elif table.aggregate == "seeds":
        text = ", ".join(show(value) for value in over.each)
    effect = row.effects.get(column)
    if effect is None or effect.delta is None:
        return text
    gain = numbers.points if column.metric in PERCENT else numbers.signed
    return f"{text} ({gain(effect.delta)}, p {numbers.p_value(effect.p)})"


def _notes(table: CustomTable) -> Iterator[str]:
    if table.against and not any(row.effects for row in table.rows):
        yield f"nothing is compared with {table.against}: it has no results here, or nothing else has"
    for row in table.rows:
        if row.state:
            yield (
                f"missing: {row.state}"
                if row.state.startswith(row.title)
                else f"missing: {row.title}: {row.state}"
            )
        for cell in row.cells.values():
            if not row.state:
                yield from (f"missing: {row.title} on {cell.dataset}: {why}" for why in cell.missing)
            if cell.clean:
                yield f"{row.title} on {cell.dataset}, without the {cell.overlap:,} clips that the training split has: {without_overlap(cell)}"
        yield from (f"not compared: {row.title} on {note}" for note in row.notes if not row.state)


def values(table: CustomTable) -> Iterator[Number]:
    """Yield every cell, also those without a number."""
    for row in table.rows:
        for column in table.columns:
            cell, effect = row.cells.get(column.dataset), row.effects.get(column)
            over = cell.scores.get(column.metric) if cell else None
            scale = 100 if column.metric in PERCENT else 1
            ends = over.interval if over and over.interval else (None, None)
            mean, sd, low, high, delta = (
                None if v is None else scale * v
                for v in (
                    over.mean if over else None,
                    over.deviation if over else None,
                    *ends,
                    effect.delta if effect else None,
                )
            )
            missing = "; ".join(cell.missing) if cell else ""
            yield Number(
                table=table.name,
                model=row.title,
                test=column.dataset,
                setting="",
                metric=column.metric,
                measured=mean,
                sd=sd,
                low=low,
                high=high,
                paper=None,
                delta=delta,
                equal=None,
                p=effect.p if effect else None,
                cell=cell,
                note=row.state or missing,
            )
