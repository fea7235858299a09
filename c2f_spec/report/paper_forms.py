"""`PaperTable` → Markdown, CSV and LaTeX: ours, the paper's, and the difference, each number with where it comes from."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from c2f_spec.report.paper import PERCENT
from c2f_spec.report.text import inline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.report.model import PaperCell, PaperRow, PaperTable

CSV_HEAD = (
    "table",
    "model",
    "test",
    "setting",
    "metric",
    "measured",
    "sd",
    "paper",
    "delta",
    "equal",
    "stages",
    "note",
)
LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
EXPLAINED = (
    "Each cell: ours, then in brackets the paper's and the difference; = is a difference that the paper's printing or one "
    "clip makes. A cell with the paper's number alone was not run here. *: the paper's number is not the printed one, or "
    "is in doubt; the notes say why. Accuracies and F1 in percent."
)


def metrics(table: PaperTable) -> list[str]:
    """Of all rows, in the paper's order."""
    return list(dict.fromkeys(cell.metric for row in table.rows for cell in row.cells))


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


def cells_of(table: PaperTable, row: PaperRow) -> list[str]:
    """One text a metric of the table."""
    own = {cell.metric: cell for cell in row.cells}
    return [shown(own.get(metric), starred=bool(row.doubts)) for metric in metrics(table)]


def notes(table: PaperTable) -> list[str]:
    """What is missing, and what is odd about the paper's numbers."""
    found = [f"{row.model} on {row.test}: {row.state}" for row in table.rows if row.state and row.stages]
    missing = [
        f"{row.model} on {row.test}" for row in table.rows if row.state == "no experiment of this plan"
    ]
    found += [f"not in this plan: {', '.join(missing)}"] if missing else []
    found += [f"{row.model} on {row.test}: {doubt}" for row in table.rows for doubt in row.doubts]
    return found + [
        f"{row.model} on {row.test}, {cell.metric}: {cell.mark}"
        for row in table.rows
        for cell in row.cells
        if cell.mark
    ]


def markdown(table: PaperTable) -> str:
    """A table and its notes."""
    heads = ["model", "test set", "", *metrics(table)]
    lines = ["| " + " | ".join(map(inline, heads)) + " |"]
    lines.append("| " + " | ".join([":---"] * 3 + ["---:"] * (len(heads) - 3)) + " |")
    for row in table.rows:
        words = [row.model, row.test, row.setting, *cells_of(table, row)]
        lines.append("| " + " | ".join(map(inline, words)) + " |")
    said = "".join(f"\n- {inline(note)}" for note in notes(table))
    return "\n".join(lines) + (f"\n{said}" if said else "")


def as_csv(tables: Sequence[PaperTable]) -> str:
    """A line a number, with the stages that it comes from."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for table in tables:
        for row in table.rows:
            writer.writerows(_csv_line(table, row, cell) for cell in row.cells)
    return out.getvalue()


def _csv_line(table: PaperTable, row: PaperRow, cell: PaperCell) -> list[object]:
    ours = ["" if v is None else f"{v:.6g}" for v in (cell.mean, cell.spread)]
    delta = "" if cell.delta is None else f"{cell.delta:.6g}"
    equal = "" if cell.delta is None else str(cell.equal).lower()
    note = "; ".join(filter(None, [row.state, cell.mark, *row.doubts]))
    place = [table.name, row.model, row.test, row.setting, cell.metric]
    return [*place, *ours, cell.paper, delta, equal, " ".join(row.stages), note]


def as_latex(tables: Sequence[PaperTable]) -> str:
    """A tabular each, for `booktabs`."""
    return "\n".join(line for table in tables for line in _tabular(table)) + "\n"


def _tabular(table: PaperTable) -> Iterator[str]:
    names = metrics(table)
    yield f"% Table {table.name}: {table.title}"
    yield rf"\begin{{tabular}}{{lll{'r' * len(names)}}}"
    yield r"\toprule"
    yield " & ".join(["model", "test set", "", *map(_latex, names)]) + r" \\"
    yield r"\midrule"
    for row in table.rows:
        yield " & ".join(map(_latex, [row.model, row.test, row.setting, *cells_of(table, row)])) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from (f"% {note}" for note in notes(table))


def _latex(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in text).replace("±", r"$\pm$")
