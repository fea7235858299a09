"""A plan on a terminal: one line a stage, then the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli.forms import hours
from c2f_spec.cli.forms.json_text import json_text
from c2f_spec.cli.show import table
from c2f_spec.cost.model import total
from c2f_spec.errors import printable
from c2f_spec.plan.claims import claims, told
from c2f_spec.plan.saved import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.policy.verdict import Verdict

SIGNS = {"run": "+", "reuse": "=", "follow": "~", "blocked": "!", "failed": "!", "unknown": "?"}
MOST_ROWS = 200
"""Stages that a table has one by one."""
PENDING = ("follow", "blocked", "failed", "unknown")
"""Actions that are counted only where there are some."""


class Column(NamedTuple):
    """A column of the table; one that says nothing of any stage is left out."""

    head: str
    cell: Callable[[Plan, Stage], str]


def variants(plan: Plan, stage: Stage) -> str:
    """Who needs it: by name if it is one, else how many; nothing if the plan has no choice."""
    if len(plan.variants) == 1:
        return ""
    return stage.variants[0] if len(stage.variants) == 1 else f"{len(stage.variants)} variants"


COLUMNS = (
    Column("ACTION", lambda _, s: f"{SIGNS[s.action]} {s.action}"),
    Column("STAGE", lambda _, s: s.name),
    Column("WHAT", lambda _, s: s.label),
    Column("FOR", variants),
    Column("GPU-HOURS", lambda _, s: hours.told(s.gpu_hours)),
    Column("GPU-GIB", lambda _, s: hours.memory(s.load)),
    Column("WHY", lambda _, s: s.reason),
)


def as_table(plan: Plan) -> None:
    if len(plan.stages) > MOST_ROWS:
        _show_groups(plan)
    else:
        show_stages(plan, plan.stages)
    if ours := dict.fromkeys(path for paths in not_in_the_paper(plan).values() for path in paths):
        some = ", ".join(list(ours)[:3])
        print(f"not in the paper: {len(ours)} fields at our defaults, such as {some} (-o json lists them)")
    for claim in claims(plan):
        print(printable(f"hypothesis of {claim.name}: {told(claim)}"))
    print(f"{plan.name} on {plan.environment_name}: {'; '.join([counts(plan), *hours.summary(plan)])}")


def show_stages(plan: Plan, stages: Sequence[Stage]) -> None:
    rows = [tuple(c.cell(plan, s) for c in COLUMNS) for s in stages]
    told = [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]
    table(tuple(COLUMNS[i].head for i in told), [tuple(row[i] for i in told) for row in rows])


def _show_groups(plan: Plan) -> None:
    """A row for all stages that do the same and have the same action: nobody reads a thousand."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for stage in plan.stages:
        groups.setdefault((stage.action, stage.label), []).append(stage)
    rows = []
    for (action, label), stages in groups.items():
        reasons = list(dict.fromkeys(s.reason for s in stages if s.reason))
        more = f" (and {len(reasons) - 1:,} other reasons)" if len(reasons) > 1 else ""
        cost = hours.told(total(s.gpu_hours for s in stages))
        why = f"{reasons[0]}{more}" if reasons else ""
        rows.append((f"{SIGNS[action]} {action}", f"{len(stages):,}", label, cost, why))
    heads = ("ACTION", "STAGES", "WHAT", "GPU-HOURS", "WHY")
    told = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    table(tuple(heads[i] for i in told), [tuple(row[i] for i in told) for row in rows])
    print(f"{len(plan.stages):,} stages by what they do; -o name and -o json list each")


def counts(plan: Plan) -> str:
    """`24 variants, 96 instances, 52 unique, 31 stored, 21 to run`."""
    found = plan.totals()
    parts = [f"{found['unique']:,} stages"]
    if len(plan.variants) > 1:
        parts = [f"{found[word]:,} {word}" for word in ("variants", "instances", "unique")]
    if all(s.action == "unknown" for s in plan.stages):
        return ", ".join([*parts, "the store was not asked"])
    parts += [f"{found['stored']:,} stored", f"{found['to_run']:,} to run"]
    named = {action: sum(s.action == action for s in plan.stages) for action in PENDING}
    words = {"follow": "running now", "blocked": "blocked", "failed": "failed", "unknown": "unknown"}
    return ", ".join([*parts, *(f"{n:,} {words[action]}" for action, n in named.items() if n)])


def as_json(plan: Plan, verdicts: Sequence[Verdict]) -> None:
    also = {
        "hypotheses": {claim.name: told(claim) for claim in claims(plan)},
        "policy": [v._asdict() for v in verdicts],
        "not_in_the_paper": not_in_the_paper(plan),
    }
    print(json_text({**to_json(plan), **also}))


def not_in_the_paper(plan: Plan) -> dict[str, dict[str, str]]:
    """By variant: the fields that were left at a default which the paper does not give, and that default."""
    from c2f_spec.report.defaults import not_in_the_paper as ours

    return {v.name: {d.path: d.value for d in ours(v.experiment)} for v in plan.variants}
