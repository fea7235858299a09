"""`apply` on a cluster: check, show, ask, upload the code, start the driver; with `--wait`, follow it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli import output
from c2f_spec.cli.launch import noted, with_origin
from c2f_spec.cli.plan_output import counts
from c2f_spec.cli.policy_check import judged, refuse_broken
from c2f_spec.cli.report import report_place
from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.errors import Exit, Unreachable, UsageError
from c2f_spec.execution.provenance import save_origin
from c2f_spec.execution.run import Event, run, save_plan
from c2f_spec.plan.compile import environment_document
from c2f_spec.targets.kubernetes.client import JOBS
from c2f_spec.targets.kubernetes.launch import (
    driver_objects,
    is_driven,
    preflight,
    replace_unstarted_jobs,
    start_driver,
    store_code,
    withdraw_superseded_plans,
)
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.validation import check, error_origin
from c2f_spec.targets.kubernetes.status.termination import end_condition
from c2f_spec.targets.kubernetes.target import Kubernetes

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from c2f_spec.cli.workspace import Work
    from c2f_spec.language.document import Document
    from c2f_spec.plan.model import Plan
    from c2f_spec.targets.kubernetes.launch import Refusal

FOLLOW_RESYNC, LOOK_SECONDS = 30.0, 0.5
"""Seconds between two looks at everything while following, and between two at whether somebody wants to stop."""


class Options(NamedTuple):
    """What the command line says beside the specs."""

    yes: bool
    wait: bool
    environments: str | None


def apply_on_cluster(work: Work, plan: Plan, args: Namespace) -> int:
    """Start the driver of what is missing; returns the exit code."""
    target = work.target
    assert isinstance(target, Kubernetes)
    if args.no_report:
        raise UsageError(
            "on a cluster the driver writes the report, when the last stage has ended",
            hint="leave out --no-report",
        )
    options = Options(args.yes, args.wait, args.environments)
    if all(s.action == "reuse" for s in plan.stages):
        print(f"nothing to do: all {len(plan.stages)} stages of {plan.name} are done")
        output.pointer(report_place(plan, work.objects))
        return Exit.OK
    for stage in plan.stages:
        if stage.action == "failed":
            output.failure(Event(stage, "failed", stage.reason), work.objects, _spec(work))
    if not any(s.action in ("run", "follow") for s in plan.stages):
        return Exit.STAGE_FAILED
    plan, patch = with_origin(plan, work.loaded[0].root, allow_dirty=args.allow_dirty)
    if is_driven(target.client, plan):
        print(f"{plan.name} on {plan.environment_name} is being run already; nothing was changed")
    else:
        _start(work, plan, patch, target, options)
    return follow(plan, target, work) if options.wait else _told(plan, work, target)


def _start(work: Work, plan: Plan, patch: bytes, target: Kubernetes, options: Options) -> None:
    """Everything that may refuse comes before everything that writes."""
    requests = [target.prepare(plan, s) for s in plan.stages if s.action == "run"]
    environment = plan.environment
    assert environment.kind == "kubernetes"
    document = _environment_document(work, options.environments)
    check([*driver_objects(plan), *(item for r in requests for item in r.objects)], environment, document)
    refuse_broken(judged(plan, work.loaded[0].root, work.objects))
    found = preflight(target.client, requests, driver_objects(plan))
    for line in found.unchecked:
        output.note(f"note: {line}")
    if found.refusals:
        raise SpecErrors(refusals(found.refusals, work, options.environments))
    print(f"{plan.name} on {plan.environment_name}: {counts(plan)}")
    _ask(plan, target, yes=options.yes)
    assert plan.origin is not None
    save_origin(work.objects, plan.origin, patch)
    store_code(work.objects)
    save_plan(plan, work.objects)
    _make_room(plan, target)
    start_driver(target.client, plan)


def _make_room(plan: Plan, target: Kubernetes) -> None:
    """What is there of the same stages, placed otherwise, makes room or is named."""
    for digest in withdraw_superseded_plans(target.client, plan):
        print(f"plan {digest}, of the same stages placed otherwise, is withdrawn for this one")
    wanted = [target.prepare(plan, s).objects for s in plan.stages if s.action in ("run", "follow")]
    for found in replace_unstarted_jobs(target.client, wanted):
        print(found)


def refusals(found: list[Refusal], work: Work, environments: str | None) -> list[Diagnostic]:
    """What the server refuses, at the line of the spec or of the environment that it comes from."""
    plan, loaded = work.plan, work.loaded
    environment = plan.environment
    assert environment.kind == "kubernetes"
    document = _environment_document(work, environments)
    told = []
    for refused in found:
        variants = refused.stage.variants if refused.stage else ()
        spec = next((i.document for i in loaded if i.experiment.name in variants), loaded[0].document)
        where = error_origin(refused.field, refused.message, refused.stage, environment, spec.data)
        blamed = spec if where.file == "spec" else document
        what = refused.stage.name if refused.stage else "the driver"
        field = f"`{refused.field}`: " if refused.field else ""
        told.append(
            Diagnostic(
                "C2F461",
                blamed.place(where.loc),
                f"the cluster refuses {what}: {field}{refused.message}",
                "nothing was started; `c2f-spec doctor` looks at the whole environment",
            )
        )
    return told


def _environment_document(work: Work, environments: str | None) -> Document:
    """The file of the plan's environment, for messages to point into."""
    place = Path(environments) if environments else None
    return environment_document(work.plan.environment_name, work.loaded[0].root, place)


def follow(plan: Plan, target: Kubernetes, work: Work) -> int:
    """Tell what happens until every stage has ended. Ctrl-C ends the telling and nothing else."""
    teller = output.Teller(plan, work.objects)
    events: dict[str, Event] = {}

    def wait(heed: Callable[[], None]) -> None:
        teller.draw()
        until = time.monotonic() + FOLLOW_RESYNC
        heed()
        while not target.changed.wait(LOOK_SECONDS) and time.monotonic() < until:
            heed()
        target.wait()
        _check_driver(plan, target)

    target.resync = FOLLOW_RESYNC
    try:
        target.open()
        with noted() as heed:
            for event in run(plan, target, wait=lambda: wait(heed), submit=False):
                events[event.stage.key] = event
                teller.tell(event)
    except KeyboardInterrupt:
        teller.clear()
        print(f"{plan.name} goes on in the cluster; `c2f-spec cancel {_spec(work)}` stops it")
        return Exit.INTERRUPTED
    finally:
        teller.clear()
        target.close()
    failed = [e for e in events.values() if e.status == "failed"]
    for event in failed:
        output.failure(event, work.objects, _spec(work))
    return Exit.STAGE_FAILED if failed else _told(plan, work, target)


def _check_driver(plan: Plan, target: Kubernetes) -> None:
    """Raises `Unreachable` if nobody drives the plan any more although something could go on."""
    job = target.client.get(JOBS, names.driver_name(plan.digest))
    if job is not None and not end_condition(job):
        return
    target.refresh()
    where = target.store_state
    left = [s for s in plan.stages if s.key not in where.done and not where.failed(s.key)]
    if left and not any(where.failed(s.key) for s in plan.stages):
        what = "was removed" if job is None else "has ended"
        raise Unreachable(
            f"the driver of {plan.name} {what}, and {len(left)} stages are left",
            hint="somebody cancelled it, or `kubectl logs` of its pod says more; apply again goes on from here",
        )


def _ask(plan: Plan, target: Kubernetes, *, yes: bool) -> None:
    """Raises `UsageError` if nobody can say yes, `KeyboardInterrupt` if somebody says no."""
    if yes:
        return
    count = sum(s.action == "run" for s in plan.stages)
    where = f"{target.client.namespace} at {target.client.access.server}"
    if not sys.stdin.isatty():
        raise UsageError(
            f"{count} stages would start in {where}, and nobody is here to say yes",
            hint="add --yes if that is meant",
        )
    if input(f"start {count} stages in {where}? [y/N] ").strip().lower() not in ("y", "yes"):
        print("nothing was started")
        raise KeyboardInterrupt


def _told(plan: Plan, work: Work, target: Kubernetes) -> int:
    spec = _spec(work)
    print(f"driver: {names.driver_name(plan.digest)} in {target.client.namespace}")
    print(f"follow: c2f-spec status {spec}   c2f-spec logs {spec} STAGE   c2f-spec apply {spec} --wait")
    return Exit.OK


def _spec(work: Work) -> str:
    """As the next command wants it."""
    item, name = work.loaded[0], work.plan.environment_name
    on = "" if item.experiment.environment == name else f"--on {name} "
    return f"{on}{item.document.text.path}"
