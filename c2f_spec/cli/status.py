"""`status`: show the state of every stage, and what to do about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.cli.output import print_table
from c2f_spec.cli.run_output import describe_progress, describe_summary, find_remedy
from c2f_spec.cli.workspace import compile_work
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import Exit, sanitize
from c2f_spec.plan.reconcile import reconcile
from c2f_spec.store import records
from c2f_spec.targets.base import Phase, State

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.cli.workspace import Workspace
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Status

READY = "ready"
"""A state beside the phases: the inputs are there, and the stage is not started."""
STALE_SECONDS = 30
"""Age of a progress report from which it is printed."""


class Row(NamedTuple):
    """One stage."""

    state: str
    """A phase, or `ready`."""
    stage: str
    what: str
    seconds: float | None = None
    """Duration, if it is done."""
    detail: str = ""
    remedy: str = ""


def status(args: Namespace) -> int:
    work = compile_work(args)
    statuses = work.control.statuses(work.plan.stages)
    running = {key for key, status in statuses.items() if status.state is State.RUNNING}
    plan = reconcile(work.plan, work.store, lambda stage: stage.key in running)
    done = _read_records(plan, work.store)
    rows = [
        _done_row(stage, done[stage.key])
        if stage.key in done
        else _row(stage, plan, work, statuses.get(stage.key))
        for stage in plan.stages
    ]
    _print(rows, plan.name, args.output)
    return Exit.OK


def _read_records(plan: Plan, store: ObjectStore) -> dict[str, Record]:
    """Return the records of done stages by key, read side by side: a sweep has thousands."""
    kinds: dict[str, list[str]] = {}
    for stage in plan.stages:
        if stage.action == "reuse":
            kinds.setdefault(stage.kind, []).append(stage.key)
    return {r.key: r for kind, keys in kinds.items() for r in records.read_records(store, kind, keys)}


def _print(rows: list[Row], name: str, form: str) -> None:
    if form == "name":
        print("\n".join(f"{row.stage} {row.state}" for row in rows))
    elif form == "json":
        print(json_text({"format_version": 1, "name": name, "stages": [row._asdict() for row in rows]}))
    else:
        cells = [
            (r.state, r.stage, r.what, "" if r.seconds is None else f"{r.seconds:.1f}", r.detail)
            for r in rows
        ]
        print_table(("STATE", "STAGE", "WHAT", "SECONDS", "DETAIL"), cells)
        for row in rows:
            if row.remedy:
                print(sanitize(f"{row.stage}: {row.remedy}"))


def _row(stage: Stage, plan: Plan, work: Workspace, status: Status | None) -> Row:
    """Return the row of a stage that is not done; `status` is the target's, if it has the stage."""

    def row(state: str, detail: str = "", remedy: str = "") -> Row:
        return Row(state, stage.name, stage.label, detail=detail, remedy=remedy)

    if stage.action == "follow" and status is not None:
        progress = records.read_progress(work.store, stage.kind, stage.key)
        phase = status.phase or (Phase.RUNNING if progress else Phase.STARTING)
        detail = status.detail
        if phase in (Phase.RUNNING, Phase.SAVING):
            detail = ", ".join(filter(None, (_describe_progress(progress), status.detail)))
        return row(phase.value, detail, status.remedy)
    if stage.action == "failed":
        failures = records.read_failures(work.store, stage.kind, stage.key)
        if not failures:
            return row(Phase.FAILED.value, stage.reason)
        last = failures[-1]
        again = f"then c2f-spec retry {work.spec} {stage.name}, and apply"
        remedy = "; ".join(filter(None, (last.get("hint") or find_remedy(last), again)))
        return row(Phase.FAILED.value, describe_failure(last), remedy)
    if status is not None and status.state is State.FAILED:
        return row(Phase.FAILED.value, status.detail, status.remedy)
    if status is not None and status.state is State.DONE:
        return row(Phase.SAVING.value, "has ended; its record is not in the store yet")
    needs = [plan.stage(key) for key in stage.inputs.values() if plan.stage(key).action != "reuse"]
    if needs:
        names = ", ".join(f"{s.name}{' (failed)' if s.action == 'failed' else ''}" for s in needs)
        return row(Phase.WAITING.value, f"needs {names}")
    return row(READY)


def _done_row(stage: Stage, record: Record) -> Row:
    seconds = record.provenance["seconds"]
    took = round(seconds["start"] + seconds["work"], 1)
    return Row(Phase.DONE.value, stage.name, stage.label, took, describe_summary(record.summary))


def describe_failure(failure: dict[str, Any]) -> str:
    """Return `out of memory: killed, as a machine does when memory runs out`."""
    kind, message = str(failure.get("class", "")), str(failure.get("message", ""))
    return f"{kind}: {message}" if kind and not message.startswith(kind) else message


def _describe_progress(state: dict[str, Any] | None) -> str:
    """Return `45/100 steps, loss 0.53, 12 min left, reported 40 s ago`."""
    if state is None:
        return ""
    parts = [describe_progress(state)]
    if state.get("eta") is not None:
        parts.append(f"{format_duration(float(state['eta']))} left")
    age = time.time() - float(state.get("time", time.time()))
    if age > STALE_SECONDS:
        parts.append(f"reported {format_duration(age)} ago")
    return ", ".join(parts)


def format_duration(seconds: float) -> str:
    """Return `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
