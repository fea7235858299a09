"""Fill the paper's tables with our numbers, and format their cells: ours, the paper's, and the difference."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from c2f_spec.plan.published import RUNS, named_tables, printed_rows, runs_checkpoint
from c2f_spec.report import numbers
from c2f_spec.report.report_data import PERCENT, Grid, Number, PaperCell, PaperRow, PaperTable
from c2f_spec.spec.datasets import DATASETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from c2f_spec.report.scores import Group, ScoreCell, ScoreCells
    from c2f_spec.spec.reporting import Metric


PRINTED = {True: 0.05, False: 0.0005}
"""Half of the last digit that the paper prints, of percentages and of the others."""
TITLES = {
    "I": "trained on CMU-MOSI, tested on CH-SIMS and CH-SIMS v2",
    "II": "trained on CMU-MOSI, tested on CMU-MOSI and CMU-MOSEI",
    "III": "trained on CH-SIMS, tested on CH-SIMS and CH-SIMS v2",
    "IV": "trained on CH-SIMS, tested on CMU-MOSI and CMU-MOSEI",
    "V": "stages of training, on CH-SIMS",
    "VI": "hints for hard samples, on CH-SIMS",
    "VII": "hard samples, on CH-SIMS",
}
NO_EXPERIMENT = "no experiment of this plan"
WORD = re.compile(r"\w+")
FACTS = ("n", "no score", "coverage, %", "overlap", "seeds")
EXPLAINED = (
    "Each cell: measured, then in brackets the paper's number and the difference; = is a difference that the paper's "
    "printing or one of the paper's test clips makes. Where n is not the paper's, no difference is shown. n/a: undefined, as "
    "the correlation of constant predictions. A cell with the paper's number alone was not run here. *: the paper's number "
    "is not the printed one, or is in doubt; the notes say why. Accuracies and F1 (weighted) in percent. n: test clips. no "
    "score: answers without one, of each seed. overlap: test clips that the training split has, too."
)


def paper_tables(groups: Sequence[Group], cells: ScoreCells) -> tuple[PaperTable, ...]:
    """Return the tables that any experiment names, in the paper's order."""
    tables = {table for g in groups for table in named_tables(g.experiment)}
    filled = []
    for table in sorted(tables, key=list(TITLES).index):
        own = [g for g in groups if table in named_tables(g.experiment)]
        rows = [r for row in printed_rows() if row["table"] == table for r in _rows(row, own, cells)]
        filled.append(PaperTable(table, TITLES[table], tuple(rows)))
    return tuple(filled)


def _rows(row: Mapping[str, Any], own: Sequence[Group], cells: ScoreCells) -> Iterator[PaperRow]:
    """Yield one row, or one for each experiment where several run it."""
    run = RUNS.get(row["model"])
    if run is None:
        yield _imported_row(row, own, cells)
        return
    able = [g for g in own if runs_checkpoint(g.experiment, row["train"], row["test"], run)]
    # Two experiments that run a row by the very same evaluations are one row.
    by_keys = {cells.keys(g, run.checkpoint, row["test"]): g for g in reversed(able)}
    matched = [g for g in able if g in by_keys.values()]
    for group in matched:
        model = row["model"] if len(matched) == 1 else f"{row['model']}: {group.name}"
        cell = cells.cell(group, run.checkpoint, row["test"])
        yield _row(row, model, cell, "" if cell.scores else "; ".join(cell.missing))
    if not matched:
        yield _row(row, row["model"], None, NO_EXPERIMENT)


def _imported_row(row: Mapping[str, Any], own: Sequence[Group], cells: ScoreCells) -> PaperRow:
    """Return the row of a model of another code base, with our metrics if an experiment imports its predictions."""
    name = row["model"].lower()
    for group in own:
        e = group.experiment
        imported = [(one.name, one.dataset) for one in e.evaluate.imported] if e.evaluate else []
        if e.data.train == row["train"] and (name, row["test"]) in imported:
            cell = cells.cell(group, name, row["test"])
            return _row(row, row["model"], cell, "" if cell.scores else "; ".join(cell.missing))
    return _row(row, row["model"], None, "not run here: another code base")


def _row(row: Mapping[str, Any], model: str, cell: ScoreCell | None, state: str) -> PaperRow:
    doubts = (row["doubt"],) if row.get("doubt") else ()
    published = DATASETS[row["test"]].test
    other_n = ""
    if cell and cell.sources and cell.n != published:
        other_n = f"no difference from the paper is shown: n is {cell.n:,}, and {published:,} in the paper"
    cells = tuple(_cells(row["metrics"], row.get("read", {}), cell, published))
    return PaperRow(model, row["test"], row["setting"], cells, state, cell, doubts, other_n)


def _cells(
    metrics: Mapping[Metric, float], marks: Mapping[str, str], cell: ScoreCell | None, published: int
) -> Iterator[PaperCell]:
    """Yield the cells of a row. A difference is shown for the `published` number of test clips alone."""
    for metric, paper in metrics.items():
        percent = metric in PERCENT
        scale = 100 if percent else 1
        ours = cell.scores.get(metric) if cell else None
        mean = None if ours is None or ours.mean is None else scale * ours.mean
        slack = max(PRINTED[percent], 100 / published if percent else 0)
        delta = mean - paper if mean is not None and cell is not None and cell.n == published else None
        yield PaperCell(
            metric=metric,
            paper=paper,
            mean=mean,
            undefined=ours is not None and ours.mean is None,
            spread=scale * ours.deviation if ours and ours.deviation is not None else None,
            interval=(scale * ours.interval[0], scale * ours.interval[1]) if ours and ours.interval else None,
            delta=delta,
            equal=delta is not None and abs(delta) <= slack + 1e-9,
            mark=marks.get(metric, ""),
        )


def grid(table: PaperTable) -> Grid:
    """Return the table as text, with the facts that each number must be read with."""
    metrics = list(dict.fromkeys(cell.metric for row in table.rows for cell in row.cells))
    rows = []
    for row in table.rows:
        own = {cell.metric: cell for cell in row.cells}
        doubtful = doubtful_metrics(row)
        shown_ = (format_cell(own.get(metric), starred=metric in doubtful) for metric in metrics)
        rows.append((row.model, row.test, row.setting, *shown_, *scored_facts(row.cell)))
    return Grid(
        name=f"Table {table.name}",
        title=table.title,
        heads=("measured (paper, difference)", "test set", "setting", *metrics, *FACTS),
        words=3,
        rows=tuple(rows),
        notes=tuple(_notes(table)),
        cells=tuple(row.cell for row in table.rows if row.cell and row.cell.sources),
    )


def doubtful_metrics(row: PaperRow) -> set[str]:
    """Return the metrics that a doubt about the row names; all of them if it names none."""
    metrics = {cell.metric for cell in row.cells}
    doubted = [metrics & set(WORD.findall(doubt)) or metrics for doubt in row.doubts]
    return set().union(*doubted)


def format_cell(cell: PaperCell | None, *, starred: bool) -> str:
    """Return the text of a cell."""
    if cell is None:
        return ""
    paper = f"{format_number(cell.metric, cell.paper)}{'*' if starred or cell.mark else ''}"
    if cell.mean is None:
        return f"{numbers.NOTHING} ({paper})" if cell.undefined else f"({paper})"
    spread = "" if cell.spread is None else f" ± {format_number(cell.metric, cell.spread)}"
    return f"{format_number(cell.metric, cell.mean)}{spread} ({paper}{_difference(cell)})"


def _difference(cell: PaperCell) -> str:
    if cell.delta is None:
        return ""
    if cell.equal:
        return ", ="
    return f", {cell.delta:+.1f}" if cell.metric in PERCENT else f", {cell.delta:+.3f}"


def format_number(metric: str, value: float) -> str:
    return f"{value:.1f}" if metric in PERCENT else f"{value:.3f}"


def scored_facts(cell: ScoreCell | None) -> tuple[str, ...]:
    """Return the values of `FACTS` for a row of numbers."""
    if cell is None or not cell.sources:
        return ("",) * len(FACTS)
    lost = " ".join(map(str, cell.unparsable[:1] if len(set(cell.unparsable)) == 1 else cell.unparsable))
    n = numbers.count(cell.n) if cell.n == cell.expected else f"{cell.n:,} of {cell.expected:,}"
    return (
        n,
        lost,
        numbers.percent(cell.coverage),
        numbers.count(cell.overlap),
        " ".join(map(str, cell.seeds)),
    )


def _notes(table: PaperTable) -> Iterator[str]:
    """Yield what is missing, and what is odd about the paper's numbers."""
    for row in table.rows:
        if row.cell:
            yield from (f"missing: {row.model} on {row.test}: {why}" for why in row.cell.missing)
    missing = [f"{row.model} on {row.test}" for row in table.rows if row.state == NO_EXPERIMENT]
    if missing:
        yield f"not in this plan: {', '.join(missing)}"
    for row in table.rows:
        if row.other_n:
            yield f"{row.model} on {row.test}: {row.other_n}"
        if row.cell and row.cell.clean:
            yield f"{row.model} on {row.test}, without the {row.cell.overlap:,} clips that the training split has: {without_overlap(row.cell)}"
        yield from (f"{row.model} on {row.test}: {doubt}" for doubt in row.doubts)
    yield from (
        f"{row.model} on {row.test}, {cell.metric}: {cell.mark}"
        for row in table.rows
        for cell in row.cells
        if cell.mark
    )


def without_overlap(cell: ScoreCell) -> str:
    """Return the metrics without the clips that overlap."""
    texts = []
    for metric, over in cell.clean.items():
        show = numbers.percent if metric in PERCENT else numbers.three
        texts.append(f"{metric} {show(over.mean)}")
    return ", ".join(texts)


def values(table: PaperTable) -> Iterator[Number]:
    """Yield every number, also those that only the paper has."""
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
                cell=row.cell,
                note=_note(row, cell),
            )


def _note(row: PaperRow, cell: PaperCell) -> str:
    missing = row.cell.missing if row.cell else ()
    return "; ".join(
        filter(
            None,
            [row.state, *(m for m in missing if m not in row.state), row.other_n, cell.mark, *row.doubts],
        )
    )
