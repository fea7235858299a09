"""`why SPEC STAGE`: explain which values of a stage's key, or of what it needs, differ from what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.workspace import annotate_plan, compile_work, find_stage
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.plan.explain import Cause, causes, describe_change, find_stored_key, format_value
from c2f_spec.plan.reconcile import StoredStages
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


def why(args: Namespace) -> int:
    work = compile_work(args)
    plan, store = annotate_plan(work), work.store
    stage = find_stage(plan, args.stage)
    old = _find_stored(store, stage, args.against)
    differences = causes(stage, old, plan, store) if old else []
    if args.output == "json":
        print(json_text(_json(stage, old, differences, plan)))
        return Exit.OK
    for line in _lines(store, plan, stage, old, differences):
        print(sanitize(line))
    return Exit.OK


def _find_stored(store: ObjectStore, stage: Stage, against: str | None) -> str | None:
    """Return the key of the stored stage to compare with. Raise `UsageError` if `against` is not found."""
    if against:
        key = find_stored_key(store, stage.kind, against)
        if key is None:
            raise UsageError(
                f"no stored stage `{against}` of kind {stage.kind}, or several",
                hint="name it as `plan` and `status` do, or by more of its key",
            )
        return key
    stored = StoredStages(store)
    if stage.key in stored.done(stage.kind):
        return None
    nearest = stored.nearest(stage)
    return nearest[0] if nearest else None


def _lines(
    store: ObjectStore, plan: Plan, stage: Stage, old: str | None, differences: list[Cause]
) -> list[str]:
    variants = f"{', '.join(stage.variants[:3])}{', ...' * (len(stage.variants) > 3)}"
    lines = [f"{stage.name}  {stage.label}, for {variants}", _describe_action(store, stage)]
    if old is None:
        return lines
    lines.append(f"nearest that is done: {stage.kind}-{old[:10]}{_start_time(store, stage.kind, old)}")
    if not differences:
        lines.append("  no value differs")
    named = ""
    for cause in differences:
        if cause.stage.name != named:
            named = cause.stage.name
            if cause.stage.key != stage.key:
                lines.append(
                    f"  needs {named} ({cause.stage.label}), which was {cause.stage.kind}-{cause.old[:10]}:"
                )
        indent = "  " if cause.stage.key == stage.key else "    "
        lines.append(f"{indent}{describe_change(cause.change, plan.name_of)}{_digests(cause)}")
    return lines + _acceptance(differences)


def _describe_action(store: ObjectStore, stage: Stage) -> str:
    words = {
        "run": "would run",
        "reuse": "is done, and would be reused",
        "follow": "is running now",
        "blocked": f"is blocked: {stage.reason}",
        "failed": f"has failed: {stage.reason}",
    }
    started = _start_time(store, stage.kind, stage.key) if stage.action == "reuse" else ""
    return f"{words.get(stage.action, stage.action)}{started}"


def _start_time(store: ObjectStore, kind: str, key: str) -> str:
    record = records.read_record(store, kind, key)
    started = record.provenance.get("started") if record else None
    return f", started {started}" if started else ""


def _digests(cause: Cause) -> str:
    change = cause.change
    if change.part != "code" or not (isinstance(change.old, str) and isinstance(change.new, str)):
        return ""
    return f" ({change.old} -> {change.new})"


def _acceptance(differences: list[Cause]) -> list[str]:
    """Return what to write into the lock if changed code computes the same."""
    pairs = dict.fromkeys((c.change.old, c.change.new) for c in differences if _digests(c))
    if not pairs:
        return []
    entries = [f"  - {{old: {old}, new: {new}, by: YOU, why: WHAT MAKES IT THE SAME}}" for old, new in pairs]
    return [
        "",
        "if that code computes the same, write this into specs/c2f.lock, and nothing runs again for it:",
        "accept:",
        *entries,
    ]


def _json(stage: Stage, old: str | None, differences: list[Cause], plan: Plan) -> dict[str, Any]:
    return {
        "format_version": 1,
        "stage": {"name": stage.name, "kind": stage.kind, "label": stage.label, "key": stage.key},
        "action": stage.action,
        "reason": stage.reason,
        "nearest": old,
        "causes": [
            {
                "stage": c.stage.name,
                "was": c.old,
                "part": c.change.part,
                "path": c.change.path,
                "old": format_value(c.change.old, c.change.path),
                "new": format_value(c.change.new, c.change.path),
                "change": describe_change(c.change, plan.name_of),
            }
            for c in differences
        ],
    }
