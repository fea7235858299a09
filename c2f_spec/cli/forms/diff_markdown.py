"""A difference as a comment on a pull request: a section a spec, with what is long folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.forms.diff import groups, lines, shared, stages, summary, totals
from c2f_spec.cli.forms.markdown import Table, comment
from c2f_spec.errors import short
from c2f_spec.report.text import inline

if TYPE_CHECKING:
    from c2f_spec.diff.compare import Difference

MARKER = "diff"
MOST_SPECS = 20
"""So many specs have a section of their own; of the others the table says how many stages run."""
LINE = 300


def as_markdown(found: Difference) -> str:
    head = f"### {inline(found.old)} → {inline(found.new)}: {inline(summary(found))}"
    if not found.specs:
        return comment(MARKER, [head])
    blocks: list[str | Table] = [head, f"**{inline(totals(found)).removeprefix('in all: ').capitalize()}.**"]
    rows = [(s.file, str(len(s.rerun)), str(len(s.reused)), s.problem) for s in found.specs]
    heads = ("Spec", "To run", "Reused", "Problem")
    wide = 4 if any(row[3] for row in rows) else 3
    if common := shared(found):
        blocks.append("\n".join(f"- {inline(short(line, 2 * LINE))}" for line in common))
    if len(rows) > 1:
        blocks.append(Table(heads[:wide], [row[:wide] for row in rows]))
    for spec in found.specs[:MOST_SPECS]:
        was = f" (was {inline(spec.was)})" if spec.was else ""
        told = "\n".join(f"- {inline(short(line, LINE))}" for line in lines(found, spec))
        blocks.append(f"**{inline(short(spec.file, LINE))}**{was}\n\n{told}")
    if found.rerun:
        names = [(s.name, s.label) for s in found.rerun]
        blocks.append(
            Table(
                ("Stage", "What"), names, f"{stages(len(names))} to run: {short(groups(found.rerun), LINE)}"
            )
        )
    return comment(MARKER, blocks)
