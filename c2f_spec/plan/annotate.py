"""`Plan` → `Plan` with an action and a reason for each stage. The only reader of the store before a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import leaves
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.objects import Objects


def annotate(plan: Plan, objects: Objects, running: Callable[[Stage], bool]) -> Plan:
    """Look every stage up; `running` asks the target whether somebody is computing it now."""
    known: dict[str, dict[str, dict[str, Any]]] = {}
    actions: dict[str, Stage] = {}
    for stage in plan.stages:
        actions[stage.key] = _annotated(stage, plan, objects, running, known, actions)
    return replace(plan, stages=tuple(actions.values()), _by_key={})


def _annotated(
    stage: Stage,
    plan: Plan,
    objects: Objects,
    running: Callable[[Stage], bool],
    known: dict[str, dict[str, dict[str, Any]]],
    before: dict[str, Stage],
) -> Stage:
    record = records.read_record(objects, stage.kind, stage.key)
    if record is not None:
        if records.intact(objects, record):
            return replace(stage, action="reuse", reason="done before")
        return replace(
            stage, action="failed", reason="its record stands but files are missing or have another size"
        )
    if running(stage):
        return replace(stage, action="follow", reason="running now")
    if records.is_failed(objects, stage.kind, stage.key):
        last = records.failures(objects, stage.kind, stage.key)[-1]
        return replace(stage, action="failed", reason=str(last.get("message", "failed before")))
    stopped = [
        before[key].name for key in stage.inputs.values() if before[key].action in ("failed", "blocked")
    ]
    if stopped:
        return replace(stage, action="blocked", reason=f"needs {stopped[0]}")
    if stage.kind not in known:
        known[stage.kind] = records.preimages(objects, stage.kind)
    return replace(stage, action="run", reason=_why(stage, plan, known[stage.kind], objects))


def _why(stage: Stage, plan: Plan, known: dict[str, dict[str, Any]], objects: Objects) -> str:
    """What differs from the nearest stage of this kind that was ever planned here."""
    mine = leaves(stage.preimage)
    if stage.key in known:
        return "planned before, not done"
    others = [
        leaves(preimage)
        for key, preimage in known.items()
        if objects.exists(records.record_name(stage.kind, key))
    ]
    differences = [[p for p in {**mine, **o} if mine.get(p) != o.get(p)] for o in others]
    if not differences:
        return "never run"
    nearest = min(range(len(others)), key=lambda i: len(differences[i]))
    return "; ".join(
        _told(path, others[nearest].get(path), mine.get(path), plan)
        for path in sorted(differences[nearest])[:3]
    )


def _told(path: str, old: Any, new: Any, plan: Plan) -> str:
    section, _, rest = path.partition(".")
    if section == "code":
        return f"code changed: {rest}"
    if section == "inputs":
        name = plan.stage(new).name if new else rest
        return f"input {rest} is now {name}"
    return f"{rest} {'(default)' if old is None else old} -> {'(default)' if new is None else new}"
