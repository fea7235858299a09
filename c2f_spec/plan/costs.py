"""`Plan` → `Plan` with GPU-hours and memory for each stage, and what sharing stages saves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c2f_spec.cost.estimate import load_of
from c2f_spec.cost.model import GpuHours, Load, estimated, total
from c2f_spec.cost.site import site_of
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
                site = site_of(stage.kind, stage.placement, plan.environment)
                found[stage.key] = load_of(variant.experiment, stage.kind, _dataset(stage), site)
    return found


def _dataset(stage: Stage) -> str:
    """What an evaluation reads; nothing for other kinds."""
    return str(stage.preimage["spec"].get("dataset", ""))


def totals(plan: Plan) -> dict[str, Any]:
    """Hours of what is to run, of all stages once, and of every cell alone with all that it needs.

    A cell is a model of a variant on a data set. Computed alone, each pays for its own chains and its own training, as
    with a script for every row of a table; `saved` is the share of that which sharing saves, at the worse end.
    """
    to_run = total(s.gpu_hours for s in plan.stages if s.action in TO_RUN)
    shared = total(s.gpu_hours for s in plan.stages)
    alone = total(hours for _, hours in cells_alone(plan))
    found = {"gpu_hours": to_run.to_json(), "gpu_hours_shared": shared.to_json()}
    return found | {"gpu_hours_unshared": alone.to_json(), "saved": saved(shared, alone)}


def cells_alone(plan: Plan) -> Iterator[tuple[tuple[str, str], GpuHours]]:
    """(variant, stage key) of every evaluation, and its hours with all ancestors; a variant without one is a cell itself."""
    known: dict[str, GpuHours] = {}
    for variant in plan.variants:
        evaluations = [k for k in variant.stages if plan.stage(k).kind == "evaluate"]
        for key in evaluations:
            if key not in known:
                known[key] = total(plan.stage(k).gpu_hours for k in needed(plan, [key]))
            yield (variant.name, key), known[key]
        if not evaluations:
            yield (variant.name, ""), total(plan.stage(k).gpu_hours for k in variant.stages)


def saved(shared: GpuHours, alone: GpuHours) -> float:
    """Share of the hours `alone` that is not spent, at the end of the range where it is less; 0 if there are none."""
    ends = [1 - s / a for s, a in ((shared.low, alone.low), (shared.high, alone.high)) if a > 0]
    return round(max(0.0, min(ends)), 3) if ends else 0.0
