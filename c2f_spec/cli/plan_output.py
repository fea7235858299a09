"""A plan on a terminal: one line a stage, then the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli import hours_output
from c2f_spec.cli.comment_output import Table, comment
from c2f_spec.cli.hours_output import summary
from c2f_spec.cli.output import table
from c2f_spec.cost.gpu_hours import total
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import sanitize
from c2f_spec.plan.hypotheses import claims, told
from c2f_spec.plan.pins import unpinned_names
from c2f_spec.plan.plan_file import to_json
from c2f_spec.report.markup import inline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.policy.load import Verdict


MOST_NODES = 80
"""Beyond these, stages of a kind with the same action are one node: nobody reads more, and GitHub draws no more."""
STYLES = {
    "run": "fill:#fff3cd,stroke:#b58900,color:#111",
    "reuse": "fill:#e6f4ea,stroke:#2e7d32,color:#111",
    "follow": "fill:#e3f2fd,stroke:#1565c0,color:#111",
    "blocked": "fill:#fdecea,stroke:#b71c1c,color:#111",
    "failed": "fill:#fdecea,stroke:#b71c1c,color:#111",
    "unknown": "fill:#f5f5f5,stroke:#757575,color:#111",
}


def text(value: str) -> str:
    """`value` inside a quoted label, where nothing of it is syntax: whatever is not plainly a word becomes a code."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " ._-/,()") else f"#{ord(c)};" for c in value)


def as_mermaid(plan: Plan) -> str:
    """The chart, without a fence."""
    single = len(plan.stages) <= MOST_NODES
    node_of: Callable[[Stage], str] = (lambda s: s.name) if single else (lambda s: f"{s.kind}-{s.action}")
    groups: dict[str, list[Stage]] = {}
    for stage in plan.stages:
        groups.setdefault(node_of(stage), []).append(stage)
    edges = dict.fromkeys(
        (node_of(plan.stage(key)), node_of(s)) for s in plan.stages for key in s.inputs.values()
    )
    lines = [_node(name, stages) for name, stages in groups.items()]
    lines += [f"{a} --> {b}" for a, b in edges if a != b]
    used = dict.fromkeys(s.action for s in plan.stages)
    lines += [f"classDef {action} {STYLES[action]}" for action in used]
    return "\n".join(["flowchart LR", *(f"  {line}" for line in lines)])


def _node(name: str, stages: list[Stage]) -> str:
    first = stages[0]
    what = first.label if len(stages) == 1 else f"{len(stages):,} of {first.kind}"
    return f'{name}["{text(what)}<br/>{_actions(stages)}"]:::{first.action}'


def _actions(stages: Iterable[Stage]) -> str:
    return ", ".join(dict.fromkeys(s.action for s in stages))


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
    Column("GPU-HOURS", lambda _, s: hours_output.told(s.gpu_hours)),
    Column("GPU-GIB", lambda _, s: hours_output.memory(s.load)),
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
        print(sanitize(f"hypothesis of {claim.name}: {told(claim)}"))
    print(f"{plan.name} on {plan.environment_name}: {'; '.join([counts(plan), *hours_output.summary(plan)])}")


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
        cost = hours_output.told(total(s.gpu_hours for s in stages))
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
    from c2f_spec.report.collect import not_in_the_paper as ours

    return {v.name: {d.path: d.value for d in ours(v.experiment)} for v in plan.variants}


# A plan as a comment: what runs and why first, what is reused folded away.


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
