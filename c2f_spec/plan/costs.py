"""`Plan` → `Plan` with GPU-hours and memory for each stage, and what sharing stages saves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c2f_spec.cost.estimate import load_of
from c2f_spec.cost.model import GpuHours, Load, estimated, total
from c2f_spec.cost.site import site_of
from c2f_spec.paper import rows_of
from c2f_spec.plan.subset import needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.plan.model import Plan, Stage

TO_RUN = ("run", "unknown")


def with_costs(plan: Plan) -> Plan:
    """Every stage with what it takes by the coefficients of its place alone."""
    reckoned = loads(plan)
    stages = tuple(
        replace(s, gpu_hours=estimated(reckoned[s.key]), load=reckoned[s.key]) for s in plan.stages
    )
    return replace(plan, stages=stages, _by_key={})


def loads(plan: Plan) -> dict[str, Load]:
    """What each stage is reckoned to take, by key."""
    found: dict[str, Load] = {}
    for variant in plan.variants:
        for stage in map(plan.stage, variant.stages):
            if stage.key not in found:
                kind = "baseline" if "import" in stage.preimage["spec"] else stage.kind
                site = site_of(kind, stage.placement, plan.environment)
                found[stage.key] = load_of(variant.experiment, kind, _dataset(stage), site)
    return found


def _dataset(stage: Stage) -> str:
    """What an evaluation reads; nothing for other kinds."""
    return str(stage.preimage["spec"].get("dataset", ""))


def totals(plan: Plan) -> dict[str, Any]:
    """Hours of what is to run, of all stages once, and of everything that is asked for alone with all that it needs.

    What is asked for are the rows of the paper's tables that the specs name, else every cell: a model of a variant on a
    data set. Alone, each pays for its own chains and its own training, as with a script for every row; `saved` is the
    share of that which sharing saves, at the worse end.
    """
    to_run = total(s.gpu_hours for s in plan.stages if s.action in TO_RUN)
    shared = total(s.gpu_hours for s in plan.stages)
    alone = total(hours for _, hours in rows_alone(plan) or cells_alone(plan))
    found = {"gpu_hours": to_run.to_json(), "gpu_hours_shared": shared.to_json()}
    return found | {"gpu_hours_unshared": alone.to_json(), "saved": saved(shared, alone)}


def cells_alone(plan: Plan) -> Iterator[tuple[tuple[str, str], GpuHours]]:
    """(variant, stage key) of every evaluation, and its hours with all ancestors; a variant without one is a cell itself."""
    known: dict[str, GpuHours] = {}
    for variant in plan.variants:
        evaluations = [k for k in variant.stages if plan.stage(k).kind == "evaluate"]
        for key in evaluations:
            if key not in known:
                known[key] = total(plan.stage(k).gpu_hours for k in needed(plan.stage, [key]))
            yield (variant.name, key), known[key]
        if not evaluations:
            yield (variant.name, ""), total(plan.stage(k).gpu_hours for k in variant.stages)


def rows_alone(plan: Plan) -> list[tuple[str, GpuHours]]:
    """Table, model and test set of each row of the paper that a spec of the plan names and runs, and its hours."""
    if not any(v.experiment.tables for v in plan.variants):
        return []
    cells = {
        (name, spec["checkpoint"], spec["dataset"]): (key, hours)
        for (name, key), hours in cells_alone(plan)
        if key and (spec := plan.stage(key).preimage["spec"])
    }
    found: dict[tuple[str, str], GpuHours] = {}
    for row, e, checkpoint in rows_of(v.experiment for v in plan.variants):
        key, hours = cells[e.name, checkpoint, row["test"]]
        # Two variants that run a row by the very same evaluation are one row.
        found[f"{row['table']}: {row['model']} on {row['test']}", key] = hours
    return [(row, hours) for (row, _), hours in found.items()]


def saved(shared: GpuHours, alone: GpuHours) -> float:
    """Share of the hours `alone` that is not spent, at the end of the range where it is less; 0 if there are none."""
    ends = [1 - s / a for s, a in ((shared.low, alone.low), (shared.high, alone.high)) if a > 0]
    return round(max(0.0, min(ends)), 3) if ends else 0.0
