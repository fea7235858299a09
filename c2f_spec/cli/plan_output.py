"""A plan as a table, as JSON, as a chart and as a comment; and GPU-hours, as plans and differences print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli.comment_output import Table, render_comment
from c2f_spec.cli.output import filled_columns, print_filled_columns
from c2f_spec.cli.workspace import printable_decision
from c2f_spec.cost.gpu_hours import GpuHours, Load, total
from c2f_spec.cost.site import prices_of
from c2f_spec.cost.sizes import GIB
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import sanitize
from c2f_spec.plan.costs import TO_RUN, totals
from c2f_spec.plan.hypotheses import describe_hypothesis, planned_hypotheses
from c2f_spec.plan.pins import unpinned_names
from c2f_spec.plan.plan_file import to_json
from c2f_spec.report.markup import inline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.policy.load import RuleResult

MOST_ROWS = 200
"""Stages that a table has one by one; more are grouped."""
SIGNS = {"run": "+", "reuse": "=", "follow": "~", "blocked": "!", "failed": "!", "unknown": "?"}
UNMET_RULES = {"broken": "denied", "unchecked": "not checked"}
"""Outcome of a rule of the policy to its word, where the rule is not kept."""
PENDING = {"follow": "running now", "blocked": "blocked", "failed": "failed", "unknown": "unknown"}
"""Actions that are counted only where there are some."""


class Column(NamedTuple):
    """A column of the table of stages, which is left out if it is empty for every stage."""

    head: str
    cell: Callable[[Plan, Stage], str]


def describe_variants(plan: Plan, stage: Stage) -> str:
    """Return the variant that needs the stage, or how many do; nothing if the plan has only one."""
    if len(plan.variants) == 1:
        return ""
    return stage.variants[0] if len(stage.variants) == 1 else f"{len(stage.variants)} variants"


COLUMNS = (
    Column("ACTION", lambda _, s: f"{SIGNS[s.action]} {s.action}"),
    Column("STAGE", lambda _, s: s.name),
    Column("WHAT", lambda _, s: s.label),
    Column("FOR", describe_variants),
    Column("GPU-HOURS", lambda _, s: describe_hours(s.gpu_hours)),
    Column("GPU-GIB", lambda _, s: describe_memory(s.load)),
    Column("WHY", lambda _, s: s.reason),
)
HEADS = tuple(column.head for column in COLUMNS)


def _rows(plan: Plan, stages: Sequence[Stage]) -> list[tuple[str, ...]]:
    return [tuple(column.cell(plan, stage) for column in COLUMNS) for stage in stages]


def print_plan(plan: Plan, decisions: Sequence[RuleResult] = ()) -> None:
    """Print a line a stage, then what the plan leaves open, its counts, and the decisions of the policy."""
    if len(plan.stages) > MOST_ROWS:
        _print_groups(plan)
    else:
        print_filled_columns(HEADS, _rows(plan, plan.stages))
    if ours := dict.fromkeys(path for paths in not_in_the_paper(plan).values() for path in paths):
        some = ", ".join(list(ours)[:3])
        print(f"not in the paper: {len(ours)} fields at our defaults, such as {some} (-o json lists them)")
    for claim in planned_hypotheses(plan):
        print(sanitize(f"hypothesis of {claim.name}: {describe_hypothesis(claim)}"))
    counts = "; ".join([describe_counts(plan), *describe_cost(plan)])
    print(f"{plan.name} on {plan.environment_name}: {counts}")
    for line in describe_decisions(decisions):
        print(line)


def _print_groups(plan: Plan) -> None:
    """Print a row for all stages with the same label and action, where there are too many for a row each."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for stage in plan.stages:
        groups.setdefault((stage.action, stage.label), []).append(stage)
    rows = []
    for (action, label), stages in groups.items():
        reasons = list(dict.fromkeys(s.reason for s in stages if s.reason))
        more = f" (and {len(reasons) - 1:,} other reasons)" if len(reasons) > 1 else ""
        cost = describe_hours(total(s.gpu_hours for s in stages))
        why = f"{reasons[0]}{more}" if reasons else ""
        rows.append((f"{SIGNS[action]} {action}", f"{len(stages):,}", label, cost, why))
    print_filled_columns(("ACTION", "STAGES", "WHAT", "GPU-HOURS", "WHY"), rows)
    print(f"{len(plan.stages):,} stages by action and label; -o name and -o json list each")


def describe_counts(plan: Plan) -> str:
    """Return `24 variants, 96 instances, 52 unique, 31 stored, 21 to run`."""
    counts = plan.totals()
    parts = [f"{counts['unique']:,} stages"]
    if len(plan.variants) > 1:
        parts = [f"{counts[word]:,} {word}" for word in ("variants", "instances", "unique")]
    if all(s.action == "unknown" for s in plan.stages):
        return ", ".join([*parts, "the store was not read"])
    parts += [f"{counts['stored']:,} stored", f"{counts['to_run']:,} to run"]
    pending = {action: sum(s.action == action for s in plan.stages) for action in PENDING}
    return ", ".join([*parts, *(f"{n:,} {PENDING[action]}" for action, n in pending.items() if n)])


def describe_decisions(decisions: Sequence[RuleResult]) -> list[str]:
    """Return a line for each rule of the policy that is broken or could not be checked, then a count."""
    if not decisions:
        return []
    lines = [
        f"{UNMET_RULES[d.outcome]}: {printable_decision(d)}" for d in decisions if d.outcome in UNMET_RULES
    ]
    names = {"kept": "kept", "broken": "broken", "unchecked": "not checked"}
    counts = {name: sum(d.outcome == outcome for d in decisions) for outcome, name in names.items()}
    parts = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
    return [*lines, f"policy: {parts} of {len(decisions)} rules"]


def as_json(plan: Plan, decisions: Sequence[RuleResult]) -> str:
    """Return the plan file with hypotheses, the policy's decisions and the defaults that the paper does not give."""
    also = {
        "hypotheses": {claim.name: describe_hypothesis(claim) for claim in planned_hypotheses(plan)},
        "policy": [d._asdict() for d in decisions],
        "not_in_the_paper": not_in_the_paper(plan),
    }
    return json_text({**to_json(plan), **also})


def not_in_the_paper(plan: Plan) -> dict[str, dict[str, str]]:
    """Return by variant the fields that are at a default which the paper does not give, with that default."""
    from c2f_spec.report.collect import not_in_the_paper as ours

    return {v.name: {d.path: d.value for d in ours(v.experiment)} for v in plan.variants}


# GPU-hours.


def describe_hours(hours: GpuHours) -> str:
    """Return `6.0-9.5 scaled (n=3)`; nothing for a stage without GPUs."""
    count = f" (n={hours.measured})" if hours.measured else ""
    return f"{format_range(hours)} {hours.basis}{count}" if hours.high else ""


def describe_memory(load: Load) -> str:
    """Return `4 x 31`: GPUs, and the peak of each in GiB; with `measured` where stages of this size were."""
    if not load.gpus or not load.memory:
        return ""
    peak = f"{load.peak / GIB:.0f} measured" if load.peak else f"{load.memory / GIB:.0f}"
    return f"{load.gpus} x {peak}"


def format_range(hours: GpuHours) -> str:
    """Return `6.0-9.5`, with as many digits as a range deserves."""
    low, high = _format_hours(hours.low), _format_hours(hours.high)
    return low if low == high else f"{low}-{high}"


def _format_hours(hours: float) -> str:
    if not hours:
        return "0"
    digits = 0 if hours >= 10 else 1 if hours >= 0.1 else 2
    return f"{hours:.{digits}f}"


def describe_cost(plan: Plan) -> list[str]:
    """Return `18-83 GPU-hours to run, estimated`, and what sharing saves; nothing where there are no GPUs."""
    sums = totals(plan)
    shared, to_run, unshared = (
        GpuHours(**sums[name]) for name in ("gpu_hours_shared", "gpu_hours", "gpu_hours_unshared")
    )
    if not shared.high:
        return []
    basis = f", {to_run.basis}" if to_run.high else ""
    parts = [f"{format_range(to_run)} GPU-hours to run{basis}{_describe_price(plan)}"]
    if sums["saved"]:
        alone = f"the {format_range(unshared)} that each result alone takes"
        parts.append(f"sharing saves {sums['saved']:.0%} of {alone}")
    return parts


def _describe_price(plan: Plan) -> str:
    """Return ` at 216-996`, in the site's currency; nothing unless every pool that would run something has a price."""
    prices = prices_of(plan.environment)
    to_run = [s for s in plan.stages if s.action in TO_RUN and s.gpu_hours.high]
    if not to_run or any((s.placement.pool or "") not in prices for s in to_run):
        return ""
    ends = (
        sum(getattr(s.gpu_hours, end) * prices[s.placement.pool or ""] for s in to_run)
        for end in ("low", "high")
    )
    return " at " + "-".join(f"{end:,.0f}" for end in ends)


# A chart for Mermaid.


MOST_NODES = 80
"""Beyond these, stages of a kind with the same action are one node: GitHub draws no more."""
STYLES = {
    "run": "fill:#fff3cd,stroke:#b58900,color:#111",
    "reuse": "fill:#e6f4ea,stroke:#2e7d32,color:#111",
    "follow": "fill:#e3f2fd,stroke:#1565c0,color:#111",
    "blocked": "fill:#fdecea,stroke:#b71c1c,color:#111",
    "failed": "fill:#fdecea,stroke:#b71c1c,color:#111",
    "unknown": "fill:#f5f5f5,stroke:#757575,color:#111",
}


def as_mermaid(plan: Plan) -> str:
    """Return the chart of stages and their inputs, without a fence."""
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
    actions = ", ".join(dict.fromkeys(s.action for s in stages))
    return f'{name}["{escape_label(what)}<br/>{actions}"]:::{first.action}'


def escape_label(value: str) -> str:
    """Return `value` for a quoted label: every character that is not plainly part of a word becomes a code."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " ._-/,()") else f"#{ord(c)};" for c in value)


# A comment on a pull request: first what runs and why, and what is reused folded away.


MARKER = "plan"
MOST_HYPOTHESES = 20
"""Hypotheses of a comment: so many have room in any."""


def as_markdown(plan: Plan, decisions: Sequence[RuleResult] = ()) -> str:
    reused = [s for s in plan.stages if s.action == "reuse"]
    others = [s for s in plan.stages if s.action != "reuse"]
    blocks: list[str | Table] = [
        f"### Plan of {inline(plan.name)} on {inline(plan.environment_name)}",
        f"{'; '.join([describe_counts(plan), *describe_cost(plan)])}.",
    ]
    if names := unpinned_names(plan):
        blocks.append(f"Not pinned, so the keys of what needs them will change: {inline(', '.join(names))}.")
    blocks += [
        f"Hypothesis of {inline(c.name)}: {inline(describe_hypothesis(c))}."
        for c in list(planned_hypotheses(plan))[:MOST_HYPOTHESES]
    ]
    blocks += _policy_blocks(decisions)
    if others:
        blocks.append(_stage_table(plan, others))
    if reused:
        blocks.append(_stage_table(plan, reused, f"{len(reused):,} stages are stored and reused"))
    blocks.append(f"<sub>plan <code>{plan.digest}</code></sub>")
    return render_comment(MARKER, blocks)


def _policy_blocks(decisions: Sequence[RuleResult]) -> list[str | Table]:
    """Return the rules that are broken or could not be checked, or a line that says that all are kept."""
    unmet = [d for d in decisions if d.outcome in UNMET_RULES]
    if rows := [(UNMET_RULES[d.outcome], d.rule, d.detail, d.hint, d.where) for d in unmet]:
        return [Table(("Policy", "Rule", "Finding", "Remedy", "Where"), rows)]
    return [f"Policy: all {len(decisions):,} rules are kept."] if decisions else []


def _stage_table(plan: Plan, stages: Sequence[Stage], summary: str = "") -> Table:
    heads, rows = filled_columns(HEADS, _rows(plan, stages))
    titles = (head.capitalize().replace("Gpu-g", "GPU-G").replace("Gpu", "GPU") for head in heads)
    return Table(tuple(titles), rows, summary)
