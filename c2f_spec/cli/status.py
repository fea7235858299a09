"""`status`: where every stage is, in words, and what somebody has to do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.cli import output
from c2f_spec.cli.workspace import open_control
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, sanitize
from c2f_spec.plan.reconcile import annotate
from c2f_spec.store import records
from c2f_spec.targets.base import Phase, State

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Status

READY = "ready"
"""Beside the phases: its inputs are there, and nobody has started it."""


class Row(NamedTuple):
    """One stage."""

    state: str
    """A phase, or `ready`."""
    stage: str
    what: str
    seconds: float | None
    """It took, if it is done."""
    detail: str
    way_out: str


def status(args: Namespace) -> int:
    plan, objects, control, spec = open_control(args)
    known = control.statuses(plan.stages)
    running = {key for key, found in known.items() if found.state is State.RUNNING}
    looked = annotate(plan, objects, lambda stage: stage.key in running)
    done = _records(looked, objects)
    rows = [
        _done(stage, done[stage.key])
        if stage.key in done
        else _row(stage, looked, objects, known.get(stage.key), spec)
        for stage in looked.stages
    ]
    _show(rows, plan.name, args.output)
    return Exit.OK


def _records(plan: Plan, objects: ObjectStore) -> dict[str, Record]:
    """Key to record, of the stages that are done: read side by side, because a sweep has thousands."""
    kinds: dict[str, list[str]] = {}
    for stage in plan.stages:
        if stage.action == "reuse":
            kinds.setdefault(stage.kind, []).append(stage.key)
    return {r.key: r for kind, keys in kinds.items() for r in records.read_records(objects, kind, keys)}


def _show(rows: list[Row], name: str, form: str) -> None:
    if form == "name":
        print("\n".join(f"{row.stage} {row.state}" for row in rows))
    elif form == "json":
        found = {"format_version": 1, "name": name, "stages": [row._asdict() for row in rows]}
        print(json_text(found))
    else:
        cells = [
            (r.state, r.stage, r.what, "" if r.seconds is None else f"{r.seconds:.1f}", r.detail)
            for r in rows
        ]
        output.table(("STATE", "STAGE", "WHAT", "SECONDS", "DETAIL"), cells)
        for row in rows:
            if row.way_out:
                print(sanitize(f"{row.stage}: {row.way_out}"))


def _row(stage: Stage, plan: Plan, objects: ObjectStore, known: Status | None, spec: str) -> Row:
    if stage.action == "follow" and known is not None:
        phase = known.phase or (Phase.RUNNING if output.progress_of(stage, objects) else Phase.STARTING)
        detail = known.detail
        if phase in (Phase.RUNNING, Phase.SAVING):
            detail = ", ".join(filter(None, (_progress(stage, objects), known.detail)))
        return Row(phase.value, stage.name, stage.label, None, detail, known.remedy)
    if stage.action == "failed":
        return _failed(stage, objects, spec)
    if known is not None and known.state is State.FAILED:
        return Row(Phase.FAILED.value, stage.name, stage.label, None, known.detail, known.remedy)
    if known is not None and known.state is State.DONE:
        return Row(
            Phase.SAVING.value, stage.name, stage.label, None, "has ended; its record is not seen yet", ""
        )
    needs = [plan.stage(key) for key in stage.inputs.values() if plan.stage(key).action != "reuse"]
    if needs:
        words = ", ".join(f"{s.name}{' (failed)' if s.action == 'failed' else ''}" for s in needs)
        return Row(Phase.WAITING.value, stage.name, stage.label, None, f"needs {words}", "")
    return Row(READY, stage.name, stage.label, None, "", "")


def _done(stage: Stage, record: Record) -> Row:
    seconds = record.provenance["seconds"]
    took = round(seconds["start"] + seconds["work"], 1)
    return Row(Phase.DONE.value, stage.name, stage.label, took, output.summary(record.summary), "")


def _failed(stage: Stage, objects: ObjectStore, spec: str) -> Row:
    """By its last failure: the class, what it said, and what to do."""
    found = records.read_failures(objects, stage.kind, stage.key)
    if not found:
        return Row(Phase.FAILED.value, stage.name, stage.label, None, stage.reason, "")
    last = found[-1]
    hint = last.get("hint") or output.remedy(last)
    again = f"then c2f-spec retry {spec} {stage.name}, and apply"
    way_out = "; ".join(filter(None, (hint, again)))
    return Row(Phase.FAILED.value, stage.name, stage.label, None, failure_words(last), way_out)


def failure_words(failure: dict[str, Any]) -> str:
    """`out of memory: killed, as a machine does when memory runs out`."""
    kind, message = str(failure.get("class", "")), str(failure.get("message", ""))
    return f"{kind}: {message}" if kind and not message.startswith(kind) else message


def _progress(stage: Stage, objects: ObjectStore) -> str:
    """`45/100 steps, loss 0.53, 12 min left, 40 s ago`."""
    state = output.progress_of(stage, objects)
    if state is None:
        return ""
    parts = [output.progress(stage, objects)]
    if state.get("eta") is not None:
        parts.append(f"{duration(float(state['eta']))} left")
    ago = time.time() - float(state.get("time", time.time()))
    if ago > 30:
        parts.append(f"told {duration(ago)} ago")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
