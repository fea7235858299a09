"""The paper's Tables I to VII beside the results of a plan (METHOD 7, 9).

A row of a table is matched with the experiment that runs what it reports: by training set, by what is left out, and by
the checkpoint. The other rows are models of other code bases: their numbers are shown as the paper prints them. Cells
that an experiment has several seeds for are means with standard deviations. A difference that the paper's printing
cannot show, or that one clip makes, counts as equal.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from c2f_spec.paper import RUNS, printed, runs
from c2f_spec.report.model import PaperCell, PaperRow, PaperTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from c2f_spec.plan.model import Plan, Variant
    from c2f_spec.report.model import Row, Section
    from c2f_spec.report.outputs import Outputs

PERCENT = ("Acc2", "Acc3", "Acc5", "Acc7", "F1")
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


def paper_tables(plan: Plan, sections: Sequence[Section], outputs: Outputs) -> tuple[PaperTable, ...]:
    """The tables that any experiment of the plan names, in the paper's order."""
    asked = {table for v in plan.variants for table in v.experiment.tables}
    by_name = {section.name: section for section in sections}
    found = []
    for table in sorted(asked, key=list(TITLES).index):
        own = [v for v in plan.variants if table in v.experiment.tables]
        rows = [_row(row, own, by_name, outputs) for row in printed() if row["table"] == table]
        found.append(PaperTable(table, TITLES[table], tuple(rows)))
    return tuple(found)


def _row(
    row: Mapping[str, Any], variants: Sequence[Variant], sections: Mapping[str, Section], outputs: Outputs
) -> PaperRow:
    run = RUNS.get(row["model"])
    matched = [v for v in variants if run is not None and runs(v.experiment, row["train"], row["test"], run)]
    scored: list[Row] = []
    keys, state = [], "" if run else "not run here: another code base"
    if run and not matched:
        state = "no experiment of this plan"
    for variant in matched:
        assert run is not None
        cell, key = _measured(variant, run.checkpoint, row["test"], sections, outputs)
        keys.append(key)
        if cell is None or cell.state:
            state = f"{variant.name}: {cell.state if cell else 'not in the plan'}"
        else:
            scored.append(cell)
    doubt = [row["doubt"]] if row.get("doubt") else []
    cells = tuple(_cells(row, scored if not state else []))
    return PaperRow(row["model"], row["test"], row["setting"], cells, state, tuple(keys), tuple(doubt))


def _measured(
    variant: Variant, checkpoint: str, test: str, sections: Mapping[str, Section], outputs: Outputs
) -> tuple[Row | None, str]:
    """The scores of a cell, and the name of the stage that they come from."""
    output = outputs.find(variant, "evaluate", checkpoint=checkpoint, dataset=test)
    for table in sections[variant.name].tables:
        for row in table.rows if table.data.name == test else ():
            if row.model == checkpoint:
                return row, output.stage.name if output else ""
    return None, ""


def _cells(row: Mapping[str, Any], scored: Sequence[Row]) -> Iterator[PaperCell]:
    for metric, paper in row["metrics"].items():
        percent = metric in PERCENT
        values = [
            r.scores[metric] * (100 if percent else 1) for r in scored if r.scores.get(metric) is not None
        ]
        mean = fmean(values) if values and len(values) == len(scored) else None
        clips = min((r.scores["n"] for r in scored), default=0)
        slack = max(PRINTED[percent], 100 / clips if percent and clips else 0)
        delta = None if mean is None else mean - paper
        yield PaperCell(
            metric=metric,
            paper=paper,
            mean=mean,
            spread=stdev(values) if mean is not None and len(values) > 1 else None,
            delta=delta,
            equal=delta is not None and abs(delta) <= slack + 1e-9,
            mark=row.get("read", {}).get(metric, ""),
        )
