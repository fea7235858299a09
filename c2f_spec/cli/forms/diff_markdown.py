"""A difference as a comment on a pull request: a section a spec, with what is long folded away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from c2f_spec.cli.forms.diff import groups, lines, shared, stages, summary, totals
from c2f_spec.cli.forms.hours import span
from c2f_spec.cli.forms.markdown import Table, comment
from c2f_spec.cost.model import total
from c2f_spec.errors import short
from c2f_spec.report.text import inline

if TYPE_CHECKING:
    from c2f_spec.diff.compare import Difference

MARKER = "diff"
MOST_SPECS = 20
"""So many specs have a section of their own; of the others the table says how many stages run."""
MOST_PLANS = 100
LINE = 300
HEADS = ("Spec", "To run", "GPU-hours", "Reused", "Problem")


def as_markdown(found: Difference) -> str:
    head = f"### {inline(found.old)} → {inline(found.new)}: {inline(summary(found))}"
    if not found.specs:
        return comment(MARKER, [head])
    blocks: list[str | Table] = [head, f"**{inline(totals(found)).removeprefix('in all: ')}.**"]
    if common := shared(found):
        blocks.append("\n".join(f"- {inline(short(line, 2 * LINE))}" for line in common))
    if len(found.specs) > 1:
        blocks.append(_overview(found))
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
    blocks += _plans(found)
    return comment(MARKER, blocks)


def _plans(found: Difference) -> list[str | Table]:
    """The digests that a reviewer agrees to: for people, and for the job that applies what was merged."""
    if not found.plans:
        return []
    held = dict(list(found.plans.items())[:MOST_PLANS])
    # No text of a spec ends the HTML comment, and none of it is seen.
    hidden = json.dumps(held).replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")
    rows = list(held.items())
    return [Table(("Spec", "Plan"), rows, "Plans to review"), f"<!-- c2f-spec:plans {hidden} -->"]


def _overview(found: Difference) -> Table:
    """A row a spec; columns that say nothing of any are left out."""
    rows = []
    for spec in found.specs:
        hours = total(s.gpu_hours for s in spec.rerun)
        added = span(hours) if hours.high else ""
        rows.append((spec.file, str(len(spec.rerun)), added, str(len(spec.reused)), spec.problem))
    told = [i for i in range(len(HEADS)) if any(row[i] for row in rows)]
    return Table(tuple(HEADS[i] for i in told), [tuple(row[i] for i in told) for row in rows])
