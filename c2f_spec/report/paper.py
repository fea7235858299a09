"""The paper's Tables I to VII beside the results of a plan (METHOD 7, 9).

A row of a table is matched with the experiment that runs what it reports: by training set, by what is left out, and by
the checkpoint. The other rows are models of other code bases: their numbers are shown as the paper prints them, beside
ours of predictions that `evaluate.import` names like them (`pandagpt`, `emotion-llama`). Cells that an experiment has
several seeds for are means with standard deviations. A difference that the paper's printing cannot show, or that one clip
makes, counts as equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.paper import RUNS, named, printed, runs
from c2f_spec.report.tables import PERCENT, PaperCell, PaperRow, PaperTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from c2f_spec.report.cells import Cell, Cells
    from c2f_spec.report.seeds import Group

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


def paper_tables(found: Sequence[Group], cells: Cells) -> tuple[PaperTable, ...]:
    """The tables that any experiment names, in the paper's order."""
    asked = {table for g in found for table in named(g.variants[0].experiment)}
    made = []
    for table in sorted(asked, key=list(TITLES).index):
        own = [g for g in found if table in named(g.variants[0].experiment)]
        rows = [r for row in printed() if row["table"] == table for r in _rows(row, own, cells)]
        made.append(PaperTable(table, TITLES[table], tuple(rows)))
    return tuple(made)


def _rows(row: Mapping[str, Any], own: Sequence[Group], cells: Cells) -> Iterator[PaperRow]:
    """One, or one for each experiment where several run it."""
    run = RUNS.get(row["model"])
    if run is None:
        yield _of_others(row, own, cells)
        return
    able = [g for g in own if runs(g.variants[0].experiment, row["train"], row["test"], run)]
    # Two experiments that run a row by the very same evaluations are one row.
    by_keys = {cells.keys(g, run.checkpoint, row["test"]): g for g in reversed(able)}
    matched = [g for g in able if g in by_keys.values()]
    for group in matched:
        model = row["model"] if len(matched) == 1 else f"{row['model']}: {group.name}"
        cell = cells.of(group, run.checkpoint, row["test"])
        yield _row(row, model, cell, "" if cell.scores else "; ".join(cell.missing))
    if not matched:
        yield _row(row, row["model"], None, NO_EXPERIMENT)


def _of_others(row: Mapping[str, Any], own: Sequence[Group], cells: Cells) -> PaperRow:
    """A model of another code base: with our metrics of its predictions, if an experiment imports them by its name."""
    name = row["model"].lower()
    for group in own:
        e = group.variants[0].experiment
        asked = [(one.name, one.dataset) for one in e.evaluate.imported] if e.evaluate else []
        if e.data.train == row["train"] and (name, row["test"]) in asked:
            cell = cells.of(group, name, row["test"])
            return _row(row, row["model"], cell, "" if cell.scores else "; ".join(cell.missing))
    return _row(row, row["model"], None, "not run here: another code base")


def _row(row: Mapping[str, Any], model: str, cell: Cell | None, state: str) -> PaperRow:
    doubts = (row["doubt"],) if row.get("doubt") else ()
    return PaperRow(model, row["test"], row["setting"], tuple(_cells(row, cell)), state, cell, doubts)


def _cells(row: Mapping[str, Any], cell: Cell | None) -> Iterator[PaperCell]:
    for metric, paper in row["metrics"].items():
        percent = metric in PERCENT
        scale = 100 if percent else 1
        ours = cell.scores.get(metric) if cell else None
        mean = None if ours is None or ours.mean is None else scale * ours.mean
        slack = max(PRINTED[percent], 100 / cell.n if percent and cell and cell.n else 0)
        delta = None if mean is None else mean - paper
        yield PaperCell(
            metric=metric,
            paper=paper,
            mean=mean,
            spread=scale * ours.deviation if ours and ours.deviation is not None else None,
            interval=(scale * ours.interval[0], scale * ours.interval[1]) if ours and ours.interval else None,
            delta=delta,
            equal=delta is not None and abs(delta) <= slack + 1e-9,
            mark=row.get("read", {}).get(metric, ""),
        )
