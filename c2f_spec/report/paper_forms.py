"""`PaperTable` → its cells as text: ours, the paper's, and the difference, with what is missing and what is odd."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from c2f_spec.report import numbers
from c2f_spec.report.paper import NO_EXPERIMENT
from c2f_spec.report.tables import PERCENT, Grid, Number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.report.cells import Cell
    from c2f_spec.report.tables import PaperCell, PaperRow, PaperTable

WORD = re.compile(r"\w+")
FACTS = ("n", "no score", "coverage, %", "overlap", "seeds")
EXPLAINED = (
    "Each cell: measured, then in brackets the paper's number and the difference; = is a difference that the paper's "
    "printing or one clip makes. A cell with the paper's number alone was not run here. *: the paper's number is not the "
    "printed one, or is in doubt; the notes say why. Accuracies and F1 in percent. n: test clips. no score: answers "
    "without one, of each seed. overlap: test clips that the training split has, too."
)


def grid(table: PaperTable) -> Grid:
    """Its own rows and columns, and what each number must be read with."""
    metrics = list(dict.fromkeys(cell.metric for row in table.rows for cell in row.cells))
    rows = []
    for row in table.rows:
        own = {cell.metric: cell for cell in row.cells}
        doubtful = doubted(row)
        shown_ = (shown(own.get(metric), starred=metric in doubtful) for metric in metrics)
        rows.append((row.model, row.test, row.setting, *shown_, *facts(row.found)))
    return Grid(
        name=f"Table {table.name}",
        title=table.title,
        heads=("measured (paper, difference)", "test set", "setting", *metrics, *FACTS),
        words=3,
        rows=tuple(rows),
        notes=tuple(_notes(table)),
        cells=tuple(row.found for row in table.rows if row.found and row.found.sources),
    )


def doubted(row: PaperRow) -> set[str]:
    """Metrics that a doubt about the row names; all of them if it names none."""
    metrics = {cell.metric for cell in row.cells}
    found = [metrics & set(WORD.findall(doubt)) or metrics for doubt in row.doubts]
    return set().union(*found)


def shown(cell: PaperCell | None, *, starred: bool) -> str:
    """A cell for people."""
    if cell is None:
        return ""
    paper = f"{number(cell.metric, cell.paper)}{'*' if starred or cell.mark else ''}"
    if cell.mean is None or cell.delta is None:
        return f"({paper})"
    spread = "" if cell.spread is None else f" ± {number(cell.metric, cell.spread)}"
    difference = (
        "=" if cell.equal else f"{cell.delta:+.1f}" if cell.metric in PERCENT else f"{cell.delta:+.3f}"
    )
    return f"{number(cell.metric, cell.mean)}{spread} ({paper}, {difference})"


def number(metric: str, value: float) -> str:
    return f"{value:.1f}" if metric in PERCENT else f"{value:.3f}"


def facts(cell: Cell | None) -> tuple[str, ...]:
    """What stands next to a row of numbers: `FACTS`."""
    if cell is None or not cell.sources:
        return ("",) * len(FACTS)
    lost = (
        " ".join(map(str, dict.fromkeys(cell.unparsable)))
        if len(set(cell.unparsable)) == 1
        else " ".join(map(str, cell.unparsable))
    )
    n = numbers.count(cell.n) if cell.n == cell.expected else f"{cell.n:,} of {cell.expected:,}"
    return (
        n,
        lost,
        numbers.percent(cell.coverage),
        numbers.count(cell.overlap),
        " ".join(map(str, cell.seeds)),
    )


def _notes(table: PaperTable) -> Iterator[str]:
    """What is missing, and what is odd about the paper's numbers."""
    for row in table.rows:
        if row.found:
            yield from (f"missing: {row.model} on {row.test}: {why}" for why in row.found.missing)
    missing = [f"{row.model} on {row.test}" for row in table.rows if row.state == NO_EXPERIMENT]
    if missing:
        yield f"not in this plan: {', '.join(missing)}"
    for row in table.rows:
        if row.found and row.found.clean:
            yield f"{row.model} on {row.test}, without the {row.found.overlap:,} clips that the training split has: {clean(row.found)}"
        yield from (f"{row.model} on {row.test}: {doubt}" for doubt in row.doubts)
    yield from (
        f"{row.model} on {row.test}, {cell.metric}: {cell.mark}"
        for row in table.rows
        for cell in row.cells
        if cell.mark
    )


def clean(cell: Cell) -> str:
    """The metrics without the clips that overlap."""
    found = []
    for metric, over in cell.clean.items():
        show = numbers.percent if metric in PERCENT else numbers.three
        found.append(f"{metric} {show(over.mean)}")
    return ", ".join(found)


def values(table: PaperTable) -> Iterator[Number]:
    """Every number, also those that only the paper has."""
    for row in table.rows:
        for cell in row.cells:
            low, high = cell.interval or (None, None)
            yield Number(
                table=table.name,
                model=row.model,
                test=row.test,
                setting=row.setting,
                metric=cell.metric,
                measured=cell.mean,
                sd=cell.spread,
                low=low,
                high=high,
                paper=cell.paper,
                delta=cell.delta,
                equal=None if cell.delta is None else cell.equal,
                p=None,
                cell=row.found,
                note=_note(row, cell),
            )


def _note(row: PaperRow, cell: PaperCell) -> str:
    missing = row.found.missing if row.found else ()
    return "; ".join(
        filter(None, [row.state, *(m for m in missing if m not in row.state), cell.mark, *row.doubts])
    )
