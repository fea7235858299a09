"""A plan as a comment: what runs and why first, what is reused folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.forms.hours import summary
from c2f_spec.cli.forms.markdown import Table, comment
from c2f_spec.cli.forms.plan import COLUMNS, counts
from c2f_spec.plan.claims import claims, told
from c2f_spec.plan.pins import unpinned_names
from c2f_spec.report.text import inline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.policy.verdict import Verdict

MARKER = "plan"
CLAIMS = 20
"""So many hypotheses are told; their words have room in any comment."""


def as_markdown(plan: Plan, verdicts: Sequence[Verdict] = ()) -> str:
    reused = [s for s in plan.stages if s.action == "reuse"]
    others = [s for s in plan.stages if s.action != "reuse"]
    blocks: list[str | Table] = [
        f"### Plan of {inline(plan.name)} on {inline(plan.environment_name)}",
        f"{'; '.join([counts(plan), *summary(plan)])}.",
    ]
    if names := unpinned_names(plan):
        blocks.append(f"Not pinned, so the keys of what needs them will change: {inline(', '.join(names))}.")
    blocks += [f"Hypothesis of {inline(c.name)}: {inline(told(c))}." for c in list(claims(plan))[:CLAIMS]]
    blocks += _policy(verdicts)
    if others:
        blocks.append(_table(plan, others))
    if reused:
        blocks.append(_table(plan, reused, f"{len(reused):,} stages are stored and reused"))
    blocks.append(f"<sub>plan <code>{plan.digest}</code></sub>")
    return comment(MARKER, blocks)


def _policy(verdicts: Sequence[Verdict]) -> list[str | Table]:
    """Rules that are broken or could not be checked, or a line that says that all are kept."""
    told = [v for v in verdicts if v.outcome != "kept"]
    if not told:
        return [f"Policy: all {len(verdicts):,} rules are kept."] if verdicts else []
    words = {"broken": "denied", "unchecked": "not checked"}
    rows = [(words[v.outcome], v.rule, v.detail, v.hint, v.where) for v in told]
    return [Table(("Policy", "Rule", "Finding", "Way out", "Where"), rows)]


def _table(plan: Plan, stages: Sequence[Stage], summary: str = "") -> Table:
    rows = [tuple(c.cell(plan, s) for c in COLUMNS) for s in stages]
    told = [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]
    heads = tuple(COLUMNS[i].head.capitalize().replace("Gpu-g", "GPU-G").replace("Gpu", "GPU") for i in told)
    return Table(heads, [tuple(row[i] for i in told) for row in rows], summary)
