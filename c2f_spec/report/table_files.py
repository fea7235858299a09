"""Tables → Markdown, LaTeX and CSV. Every number is given with the key of its evaluation, and what it must be read with."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from c2f_spec.report import custom_tables, paper_tables
from c2f_spec.report.markup import clean, inline, piped
from c2f_spec.report.tables import Grid, Number, PaperTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.report.scores import Cell
    from c2f_spec.report.tables import OwnTable

CSV_HEAD = (
    *Number._fields[:-2], "n", "n_expected", "unparsable", "coverage", "overlap", "seeds", "keys", "note",
)  # fmt: skip
SOURCE_HEADS = ("variant", "checkpoint", "test set", *paper_tables.FACTS, "evaluations")
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


def grid(table: PaperTable | OwnTable) -> Grid:
    return paper_tables.grid(table) if isinstance(table, PaperTable) else custom_tables.grid(table)


def once(cells: Sequence[Cell]) -> list[Cell]:
    """Rows may share a cell."""
    return list({(cell.group, cell.checkpoint, cell.dataset): cell for cell in cells}.values())


def sources(found: Grid) -> list[tuple[str, ...]]:
    """Where the numbers of a table come from: `SOURCE_HEADS`, a line an experiment, checkpoint and test set."""
    rows = []
    for cell in once(found.cells):
        names = " ".join(source.name for source in cell.sources)
        rows.append((cell.group, cell.checkpoint, cell.dataset, *paper_tables.facts(cell), names))
    return rows


def markdown(table: PaperTable | OwnTable) -> str:
    """A table, its notes, and where its numbers come from."""
    found = grid(table)
    parts = [piped(found.heads, found.rows, found.words)]
    parts += ["\n".join(f"- {inline(note)}" for note in found.notes)] if found.notes else []
    parts += [piped(SOURCE_HEADS, sources(found), 3)] if found.cells else []
    return "\n\n".join(parts)


def as_markdown(tables: Sequence[PaperTable | OwnTable]) -> str:
    """All of them, as `tables.md`."""
    parts = []
    for table in tables:
        found = grid(table)
        title = f": {inline(found.title)}" if found.title else ""
        parts.append(f"## {inline(found.name)}{title}\n\n{markdown(table)}")
    explained = [inline(paper_tables.EXPLAINED)] if any(isinstance(t, PaperTable) for t in tables) else []
    return "\n\n".join([*parts, *explained]) + "\n"


def as_csv(tables: Sequence[PaperTable | OwnTable]) -> str:
    """A line a number, with the keys of the evaluations that it comes from."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for table in tables:
        found = paper_tables.values(table) if isinstance(table, PaperTable) else custom_tables.values(table)
        writer.writerows(_line(number) for number in found)
    return out.getvalue()


def _line(number: Number) -> list[str]:
    return [*map(_text, number[:-2]), *_facts(number.cell), number.note]


def _facts(cell: Cell | None) -> tuple[str, ...]:
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


def as_latex(tables: Sequence[PaperTable | OwnTable]) -> str:
    """A tabular each, for `booktabs`, with its sources as comments."""
    return "\n".join(line for table in tables for line in _tabular(grid(table))) + "\n"


def _tabular(found: Grid) -> Iterator[str]:
    yield _comment(f"{found.name}: {found.title}")
    yield rf"\begin{{tabular}}{{{'l' * found.words}{'r' * (len(found.heads) - found.words)}}}"
    yield r"\toprule"
    yield " & ".join(map(_latex, found.heads)) + r" \\"
    yield r"\midrule"
    for row in found.rows:
        yield " & ".join(map(_latex, row)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from (_comment(note) for note in found.notes)
    for cell in once(found.cells):
        keys = " ".join(source.key for source in cell.sources)
        yield _comment(f"{cell.group}, {cell.checkpoint} on {cell.dataset}: {keys}")


def _comment(text: str) -> str:
    return "% " + " ".join(clean(text).split())


def _latex(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in " ".join(clean(text).split()))
