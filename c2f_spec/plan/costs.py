"""Add GPU-hours and memory to each stage of a plan, and say what sharing stages saves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c2f_spec.cost.calibrate import calibrated, observations, with_peak
from c2f_spec.cost.estimate import load_of
from c2f_spec.cost.gpu_hours import GpuHours, Load, estimated, total
from c2f_spec.cost.site import site_of
from c2f_spec.plan.model import with_inputs
from c2f_spec.plan.published import rows_of
from c2f_spec.spec.handoff import Account
from c2f_spec.store import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.handoff import Entry
    from c2f_spec.store.protocol import ObjectStore


TO_RUN = ("run", "unknown")


def with_costs(plan: Plan) -> Plan:
    """Return the plan with the estimate of each stage, by the coefficients of its place alone."""
    reckoned = stage_loads(plan)
    stages = tuple(
        replace(s, gpu_hours=estimated(reckoned[s.key]), load=reckoned[s.key]) for s in plan.stages
    )
    return replace(plan, stages=stages)


def stage_loads(plan: Plan) -> dict[str, Load]:
    """Return the estimated load of each stage, by key."""
    found: dict[str, Load] = {}
    for variant in plan.variants:
        for stage in map(plan.stage, variant.stages):
            if stage.key not in found:
                kind = "baseline" if "import" in stage.preimage["spec"] else stage.kind
                site = site_of(kind, stage.placement, plan.environment)
                found[stage.key] = load_of(variant.experiment, kind, _dataset(stage), site)
    return found


def _dataset(stage: Stage) -> str:
    """Return the data set that an evaluation reads; empty for other kinds."""
    return str(stage.preimage["spec"].get("dataset", ""))


def totals(plan: Plan) -> dict[str, Any]:
    """Return hours of what is to run, of all stages once, and of every request alone with all that it needs.

    What is asked for are the rows of the paper's tables that the specs name, else every cell: a model of a variant on a
    data set. Alone, each pays for its own chains and its own training, as with a script for every row; `saved` is the
    share of that which sharing saves, at the worse end.
    """
    to_run = total(s.gpu_hours for s in plan.stages if s.action in TO_RUN)
    shared = total(s.gpu_hours for s in plan.stages)
    alone = total(hours for _, hours in rows_alone(plan) or cells_alone(plan))
    found = {"gpu_hours": to_run.to_json(), "gpu_hours_shared": shared.to_json()}
    return found | {"gpu_hours_unshared": alone.to_json(), "saved": saved_share(shared, alone)}


def cells_alone(plan: Plan) -> Iterator[tuple[tuple[str, str], GpuHours]]:
    """Yield (variant, stage key) of every evaluation, and its hours with all ancestors; a variant without one is a cell itself."""
    known: dict[str, GpuHours] = {}
    for variant in plan.variants:
        evaluations = [k for k in variant.stages if plan.stage(k).kind == "evaluate"]
        for key in evaluations:
            if key not in known:
                known[key] = total(plan.stage(k).gpu_hours for k in with_inputs(plan.stage, [key]))
            yield (variant.name, key), known[key]
        if not evaluations:
            yield (variant.name, ""), total(plan.stage(k).gpu_hours for k in variant.stages)


def rows_alone(plan: Plan) -> list[tuple[str, GpuHours]]:
    """Return each row of the paper that a spec of the plan names and runs (table, model, test set), and its hours."""
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


def saved_share(shared: GpuHours, alone: GpuHours) -> float:
    """Return the share of the hours `alone` that is not spent, at the end of the range where it is less; 0 without hours."""
    ends = [1 - s / a for s, a in ((shared.low, alone.low), (shared.high, alone.high)) if a > 0]
    return round(max(0.0, min(ends)), 3) if ends else 0.0


# `Plan` → `Plan` whose GPU-hours are what the ledger's stages took, where it has any that tell; and what estimates were worth.


NEEDED_ENTRIES = 64
"""Entries of other stages of a kind that are read: enough to know what a kind of stage takes."""


def with_measured(plan: Plan, objects: ObjectStore) -> Plan:
    """Return the plan with estimates replaced by measurements in the store; a plan without GPUs reads nothing."""
    kinds = {s.kind for s in plan.stages if s.load.gpus}
    if not kinds:
        return plan
    entries = ledger.read_sample(objects, kinds, {s.key for s in plan.stages}, NEEDED_ENTRIES)
    seen = observations(entries)
    own = {e.key: e for e in entries if e.committed}
    stages = tuple(
        _with_recorded_hours(
            replace(s, gpu_hours=calibrated(s.load, seen), load=with_peak(s.load, seen)), own.get(s.key)
        )
        if s.load.gpus
        else s
        for s in plan.stages
    )
    return replace(plan, stages=stages)


def _with_recorded_hours(stage: Stage, own: Entry | None) -> Stage:
    """Return a stored stage with the hours that it took, beside those that had been estimated."""
    if own is None or stage.action != "reuse" or stage.reason:
        return stage
    took = own.account.gpus * own.seconds / 3600
    account = own.account
    reason = f"took {took:.1f} GPU-hours, {account.basis} before as {account.low:.1f}-{account.high:.1f}"
    return replace(stage, reason=reason)


# Whose hours stages are, and what they were reckoned to take: what the ledger says of their attempts.


UNKNOWN_USER = "unknown"
"""The user of a plan without an origin: one that Git's owner launches (`render --gitops`)."""


def accounts_of(plan: Plan, stages: Iterable[Stage]) -> dict[tuple[str, str], Account]:
    """Return the account of each stage by kind and key; a shared stage is on the account of its first experiment's project."""
    variants = {v.name: v for v in plan.variants}
    user, digest = plan.origin.author if plan.origin else UNKNOWN_USER, plan.digest
    return {
        (s.kind, s.key): _account(s, variants[s.variants[0]].experiment.project, user, digest) for s in stages
    }


def _account(stage: Stage, project: str, user: str, digest: str) -> Account:
    load, hours = stage.load, stage.gpu_hours
    return Account(
        user=user,
        project=project,
        plan=digest,
        pool=stage.placement.pool or "",
        gpus=load.gpus,
        low=hours.low,
        high=hours.high,
        basis=hours.basis,
        start_seconds=load.start,
        work_seconds=load.work,
        shape=load.shape,
    )
