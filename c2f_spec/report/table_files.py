"""Write tables as blocks, Markdown, LaTeX and CSV. Every number stands with the key of its evaluation and its facts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from c2f_spec.report import custom_tables, markdown, paper_tables
from c2f_spec.report.blocks import Bullets, Cell, Details, Heading, Paragraph, numeric, table, words
from c2f_spec.report.markup import clean
from c2f_spec.report.report_data import Grid, Number, PaperTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.report.blocks import Block, Table, Texts
    from c2f_spec.report.report_data import CustomTable
    from c2f_spec.report.scores import ScoreCell

CSV_HEAD = (
    *Number._fields[:-2], "n", "n_expected", "unparsable", "coverage", "overlap", "seeds", "keys", "note",
)  # fmt: skip
SOURCES = "Where the numbers come from"
LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would be an argument of the one before
    "±": r"$\pm$",
    "−": "$-$",
    "—": "---",
}


def grid(table: PaperTable | CustomTable) -> Grid:
    return paper_tables.grid(table) if isinstance(table, PaperTable) else custom_tables.grid(table)


def distinct(cells: Sequence[ScoreCell]) -> list[ScoreCell]:
    """Return each cell once: rows may share cells."""
    return list({(cell.group, cell.checkpoint, cell.dataset): cell for cell in cells}.values())


def blocks(tables: Sequence[PaperTable | CustomTable], level: int) -> list[Block]:
    """Describe each table under a heading of `level`, with its notes and where its numbers come from."""
    described: list[Block] = []
    for one in tables:
        text = grid(one)
        described.append(Heading(f"{text.name}: {text.title}" if text.title else text.name, level))
        columns = (*words(*text.heads[: text.words]), *numeric(*text.heads[text.words :]))
        described.append(table(columns, (_cells(line, text.words) for line in text.rows)))
        described += [Bullets(text.notes)] if text.notes else []
        described += [Details(SOURCES, (_sources(text.cells),), level + 1)] if text.cells else []
    if any(isinstance(one, PaperTable) for one in tables):
        described.append(Paragraph(paper_tables.EXPLAINED, "about"))
    return described


def _cells(texts: Sequence[str], words: int) -> list[Cell]:
    """Put what is in brackets after a number into a second line, so that a row fits a screen."""
    cells = [Cell(text) for text in texts[:words]]
    for text in texts[words:]:
        upper, bracket, rest = text.partition(" (")
        cells.append(Cell(upper, under=f"({rest}" if bracket else ""))
    return cells


def _sources(cells: Sequence[ScoreCell]) -> Table:
    """Describe the evaluations of each experiment, checkpoint and test set that numbers come from."""
    rows: list[Texts] = []
    for cell in distinct(cells):
        names, keys = (" ".join(texts) for texts in zip(*cell.sources, strict=True))
        facts = paper_tables.scored_facts(cell)
        rows.append((cell.group, cell.checkpoint, cell.dataset, *facts, Cell(names, title=keys)))
    columns = (*words("variant", "checkpoint", "test set"), *numeric(*paper_tables.FACTS, "evaluations"))
    return table(columns, rows)


def as_markdown(tables: Sequence[PaperTable | CustomTable]) -> str:
    """Return all tables as `tables.md`."""
    return markdown.render_blocks(blocks(tables, 2))


def as_csv(tables: Sequence[PaperTable | CustomTable]) -> str:
    """Return `tables.csv`: a line a number, with the keys of the evaluations that it comes from."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for one in tables:
        values = paper_tables.values(one) if isinstance(one, PaperTable) else custom_tables.values(one)
        writer.writerows([*map(_text, n[:-2]), *_facts(n.cell), n.note] for n in values)
    return out.getvalue()


def _facts(cell: ScoreCell | None) -> tuple[str, ...]:
    if cell is None or not cell.sources:
        return ("",) * 7
    seeds, lost, keys = (
        " ".join(map(str, v)) for v in (cell.seeds, cell.unparsable, (s.key for s in cell.sources))
    )
    return (str(cell.n), str(cell.expected), lost, _text(cell.coverage), str(cell.overlap), seeds, keys)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_latex(tables: Sequence[PaperTable | CustomTable]) -> str:
    """Return `tables.tex`: a tabular for `booktabs` of each table, with its sources as comments."""
    return "\n".join(line for table in tables for line in _tabular(grid(table))) + "\n"


def _tabular(text: Grid) -> Iterator[str]:
    yield _comment(f"{text.name}: {text.title}")
    yield rf"\begin{{tabular}}{{{'l' * text.words}{'r' * (len(text.heads) - text.words)}}}"
    yield r"\toprule"
    yield " & ".join(map(_latex, text.heads)) + r" \\"
    yield r"\midrule"
    for row in text.rows:
        yield " & ".join(map(_latex, row)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from (_comment(note) for note in text.notes)
    for cell in distinct(text.cells):
        keys = " ".join(source.key for source in cell.sources)
        yield _comment(f"{cell.group}, {cell.checkpoint} on {cell.dataset}: {keys}")


def _comment(text: str) -> str:
    return "% " + " ".join(clean(text).split())


def _latex(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in " ".join(clean(text).split()))
