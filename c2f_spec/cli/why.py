"""`why SPEC STAGE`: where a stage stands, and which leaves of its key, or of what it needs, make it another stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.cli.workspace import annotated, open_work, stage_of
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, UsageError, sanitize
from c2f_spec.plan.explain import Cause, causes, sentence, shown, stored_key
from c2f_spec.plan.reconcile import Stored
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.cli.workspace import Work
    from c2f_spec.plan.model import Plan, Stage


def why(args: Namespace) -> int:
    work = open_work(args)
    plan = annotated(work)
    stage = plan.stage(stage_of(plan, args.stage).key)
    old = _compared(work, stage, args.against)
    found = causes(stage, old, plan, work.objects) if old else []
    if args.output == "json":
        print(json_text(_json(stage, old, found, plan)))
        return Exit.OK
    for line in _lines(work, plan, stage, old, found):
        print(sanitize(line))
    return Exit.OK


def _compared(work: Work, stage: Stage, against: str | None) -> str | None:
    """The key of the stored stage to compare with. Raises `UsageError` if the one that was named is not there."""
    if against:
        key = stored_key(work.objects, stage.kind, against)
        if key is None:
            raise UsageError(
                f"no stored stage `{against}` of kind {stage.kind}, or several",
                hint="name it as `plan` and `status` do, or by more of its key",
            )
        return key
    stored = Stored(work.objects)
    if stage.key in stored.done(stage.kind):
        return None
    nearest = stored.nearest(stage)
    return nearest[0] if nearest else None


def _lines(work: Work, plan: Plan, stage: Stage, old: str | None, found: list[Cause]) -> list[str]:
    lines = [
        f"{stage.name}  {stage.label}, for {', '.join(stage.variants[:3])}{', ...' * (len(stage.variants) > 3)}"
    ]
    lines.append(_standing(work, stage))
    if old is None:
        return lines
    lines.append(f"nearest that is done: {stage.kind}-{old[:10]}{_when(work, stage.kind, old)}")
    if not found:
        lines.append("  no leaf differs")
    named = ""
    for cause in found:
        if cause.stage.name != named:
            named = cause.stage.name
            if cause.stage.key != stage.key:
                lines.append(
                    f"  needs {named} ({cause.stage.label}), which was {cause.stage.kind}-{cause.old[:10]}:"
                )
        indent = "  " if cause.stage.key == stage.key else "    "
        lines.append(f"{indent}{sentence(cause.change, plan.name_of)}{_digests(cause)}")
    return lines + _accept(found)


def _standing(work: Work, stage: Stage) -> str:
    words = {
        "run": "would run",
        "reuse": "is done, and would be reused",
        "follow": "is running now",
        "blocked": f"is blocked: {stage.reason}",
        "failed": f"has failed: {stage.reason}",
    }
    told = words.get(stage.action, stage.action)
    return f"{told}{_when(work, stage.kind, stage.key)}" if stage.action == "reuse" else told


def _when(work: Work, kind: str, key: str) -> str:
    record = records.read_record(work.objects, kind, key)
    started = record.provenance.get("started") if record else None
    return f", started {started}" if started else ""


def _digests(cause: Cause) -> str:
    change = cause.change
    if change.part != "code" or not (isinstance(change.old, str) and isinstance(change.new, str)):
        return ""
    return f" ({change.old} -> {change.new})"


def _accept(found: list[Cause]) -> list[str]:
    """What to write if changed code computes the same."""
    pairs = dict.fromkeys(
        (c.change.old, c.change.new) for c in found if c.change.part == "code" and _digests(c)
    )
    if not pairs:
        return []
    entries = [f"  - {{old: {old}, new: {new}, by: YOU, why: WHAT MAKES IT THE SAME}}" for old, new in pairs]
    return [
        "",
        "if that code computes the same, say so in specs/c2f.lock, and nothing runs again for it:",
        "accept:",
        *entries,
    ]


def _json(stage: Stage, old: str | None, found: list[Cause], plan: Plan) -> dict[str, Any]:
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
                "old": shown(c.change.old, c.change.path),
                "new": shown(c.change.new, c.change.path),
                "change": sentence(c.change, plan.name_of),
            }
            for c in found
        ],
    }
