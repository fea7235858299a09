"""Write plans to `plan.json`, read them back, and compare a reviewed plan with the plan of now.

A saved plan is read in another place and at another time than it was made, so it is believed in nothing that can be
worked out: its digest and every key are computed again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

import c2f_spec
from c2f_spec.cost.gpu_hours import GpuHours, Load
from c2f_spec.errors import StalePlan
from c2f_spec.keys import content_key, flatten
from c2f_spec.plan import costs
from c2f_spec.plan.explain import compare_preimages, describe_changes, format_value
from c2f_spec.plan.model import Plan, Stage, Variant
from c2f_spec.spec.environment import environment_model
from c2f_spec.spec.plan_json import VERSION, PlanFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from c2f_spec.spec.environment import Environment


RENEW_HINT = "make it again with `c2f-spec plan SPEC --out plan.json`"


def to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as `spec/plan_json.py` describes it (DESIGN: "Stages, keys, plan")."""
    value = {
        "format_version": VERSION,
        "version": c2f_spec.VERSION,
        "digest": plan.digest,
        "name": plan.name,
        "request": plan.request.model_dump(mode="json"),
        "origin": plan.origin.model_dump(mode="json") if plan.origin else None,
        "environment_name": plan.environment_name,
        "environment": plan.environment.model_dump(mode="json"),
        "lock": plan.lock,
        "variants": [
            {"name": v.name, "file": v.file, "spec": v.source, "stages": list(v.stages)}
            for v in plan.variants
        ],
        "stages": [_stage(s) for s in plan.stages],
        "totals": {**plan.totals(), **costs.totals(plan)},
    }
    return value | {"seal": content_key(value)}


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "key": stage.key,
        "kind": stage.kind,
        "name": stage.name,
        "label": stage.label,
        "variants": list(stage.variants),
        "inputs": stage.inputs,
        "preimage": stage.preimage,
        "placement": stage.placement.model_dump(mode="json"),
        "code": stage.code,
        "action": stage.action,
        "reason": stage.reason,
        "gpu_hours": stage.gpu_hours.to_json(),
        "load": stage.load._asdict() | {"memory": round(stage.load.memory), "peak": round(stage.load.peak)},
    }


def read_plan(path: Path) -> Plan:
    """Return the plan in a file. Raises `StalePlan` if it is no plan, of another version, or was edited."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StalePlan(f"{path}: cannot be read: {error.strerror}", hint=RENEW_HINT) from None
    return from_json(data, str(path))


def from_json(data: bytes, path: str) -> Plan:
    """Return the plan in `data`. Raises `StalePlan`, which names the plan `path`."""
    head = _check_version(data, path)
    seal = head.pop("seal", None)
    try:
        file = PlanFile.model_validate_json(data)
        kind = environment_model(file.environment.get("kind"))
        environment: Environment = TypeAdapter(kind).validate_python(file.environment)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StalePlan(f"{path}: not a plan: `{where}`: {first['msg']}", hint=RENEW_HINT) from None
    plan = Plan(
        file.name,
        environment,
        file.environment_name,
        tuple(Variant(v.name, v.spec, v.stages, v.file) for v in file.variants),
        tuple(
            Stage(
                s.key,
                s.kind,
                s.inputs,
                s.preimage,
                s.label,
                s.placement,
                s.variants,
                s.code,
                s.action,
                s.reason,
                GpuHours(**s.gpu_hours.model_dump()),
                Load(**s.load.model_dump()),
            )
            for s in file.stages
        ),
        file.lock,
        file.request,
        file.origin,
    )
    edited = next((s.name for s in plan.stages if content_key(s.preimage) != s.key), None)
    edited = edited or ("its digest" if plan.digest != file.digest else None)
    edited = edited or ("its seal" if seal not in (None, content_key(head)) else None)
    if edited:
        raise StalePlan(f"{path} was edited: {edited} does not fit what it holds", hint=RENEW_HINT)
    return plan


def _check_version(data: bytes, path: str) -> dict[str, Any]:
    """Return the plan as JSON. Raises `StalePlan` for another version first: no other error makes sense then."""
    try:
        head = json.loads(data)
    except ValueError as error:
        raise StalePlan(f"{path}: not JSON: {error}", hint=RENEW_HINT) from None
    version = head.get("format_version") if isinstance(head, dict) else None
    if version != VERSION:
        by = head.get("version", "an unknown version") if isinstance(head, dict) else "an unknown version"
        message = f"{path} has format {version}, made by c2f-spec {by}; this is c2f-spec {c2f_spec.VERSION}, format {VERSION}"
        raise StalePlan(message, hint="use the same version for plan, apply and driver, or " + RENEW_HINT)
    found: dict[str, Any] = head
    return found


# What moved between a plan that was reviewed and what would run now, in words; nothing if it may run.
#
# A stage that was to run may have been run by somebody, or be running. Nothing may run that the reviewer did not see run.
# A plan made `--offline` showed no actions: then its digest is all that was reviewed.


MAY_BECOME = {
    "run": ("run", "follow", "reuse"),
    "follow": ("follow", "reuse"),
    "reuse": ("reuse",),
    "blocked": ("blocked", "reuse"),
    "failed": ("failed", "reuse"),
    "unknown": ("run", "follow", "reuse", "blocked", "failed", "unknown"),
}
"""Action that was reviewed to actions now."""
NOW = {
    "run": "must run now",
    "follow": "is running now",
    "blocked": "is blocked now",
    "failed": "has failed",
    "unknown": "is unknown now",
}


def stale_differences(reviewed: Plan, now: Plan) -> list[str]:
    """Return a line for each difference that makes a reviewed plan stale."""
    if reviewed.digest == now.digest:
        return [
            f"{old.name} ({old.label}) was shown as `{old.action}` and {NOW[new.action]}{_because(new)}"
            for old in reviewed.stages
            if (new := now.stage(old.key)).action not in MAY_BECOME[old.action]
        ]
    found = [*environment_differences(reviewed, now), *_pins(reviewed, now), *_variants(reviewed, now)]
    return list(dict.fromkeys(found)) or ["the order of its variants or stages"]


def _because(stage: Stage) -> str:
    return f": {stage.reason}" if stage.reason else ""


def environment_differences(old: Plan, new: Plan) -> Iterator[str]:
    """Yield what differs between the places of two plans, leaf by leaf."""
    if old.environment_name != new.environment_name:
        yield f"environment {old.environment_name} -> {new.environment_name}"
        return
    before, after = (flatten(p.environment.model_dump(mode="json")) for p in (old, new))
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield f"environment `{new.environment_name}`: {path} {format_value(before.get(path))} -> {format_value(after.get(path))}"


def _pins(old: Plan, new: Plan) -> Iterator[str]:
    for section in dict.fromkeys((*old.lock, *new.lock)):
        before, after = old.lock.get(section, {}), new.lock.get(section, {})
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                a, b = (pins.get(name, "none")[:10] for pins in (before, after))
                yield f"c2f.lock: {section}: {name} {a} -> {b}"


def _variants(old: Plan, new: Plan) -> Iterator[str]:
    before, after = ({v.name: v for v in p.variants} for p in (old, new))
    yield from (f"the variant `{name}` is new" for name in after if name not in before)
    yield from (f"the variant `{name}` is gone" for name in before if name not in after)
    for name in before.keys() & after.keys():
        mine = {s.label: s for s in map(old.stage, before[name].stages)}
        theirs = {s.label: s for s in map(new.stage, after[name].stages)}
        yield from (f"{label} is new in `{name}`" for label in theirs if label not in mine)
        yield from (f"{label} is gone from `{name}`" for label in mine if label not in theirs)
        for label in mine.keys() & theirs.keys():
            yield from _stale_stage(mine[label], theirs[label], new)


def _stale_stage(old: Stage, new: Stage, plan: Plan) -> Iterator[str]:
    if old.key != new.key:
        own = [c for c in compare_preimages(old.preimage, new.preimage) if c.part != "inputs"]
        if own:  # else it follows from a stage above, which is told
            yield f"{new.label}: {describe_changes(own, plan.name_of)}"
    elif old.placement != new.placement:
        differ = [
            f"{n} {v} -> {getattr(new.placement, n)}"
            for n, v in old.placement
            if v != getattr(new.placement, n)
        ]
        yield f"{new.label} is placed otherwise: {', '.join(differ)}"
