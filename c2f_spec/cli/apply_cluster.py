"""`apply` on a cluster: check, confirm, upload the code, start the driver; with `--wait`, follow it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from c2f_spec.cli.output import confirm, note
from c2f_spec.cli.plan_output import describe_counts
from c2f_spec.cli.report import write_report
from c2f_spec.cli.run_output import EventPrinter, interrupts_deferred, print_failure, print_report_place
from c2f_spec.cli.workspace import refuse_broken_rules
from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.errors import Exit, Unreachable, UsageError
from c2f_spec.execution.provenance import save_origin, with_origin
from c2f_spec.execution.run import Event, run, save_plan
from c2f_spec.spec.environment import has_pools
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

    from c2f_spec.cli.workspace import Workspace
    from c2f_spec.plan.model import Plan
    from c2f_spec.spec.plan_json import Origin
    from c2f_spec.targets.kubernetes.launch import Refusal

FOLLOW_RESYNC, INTERRUPT_SECONDS = 30.0, 0.5
"""Seconds between two reads of everything while following, and between two checks for Ctrl-C."""


def apply_on_cluster(work: Workspace, args: Namespace) -> int:
    """Start the driver of what is missing, and return the exit code. The plan is annotated."""
    plan, target = work.plan, work.target
    assert isinstance(target, Kubernetes)
    if args.no_report:
        raise UsageError(
            "on a cluster the driver writes the report, when the last stage has ended",
            hint="remove --no-report",
        )
    if all(s.action == "reuse" for s in plan.stages):
        print(f"nothing to do: all {len(plan.stages)} stages of {plan.name} are done")
        print_report_place(write_report(plan, work.store, None))
        return Exit.OK
    for stage in plan.stages:
        if stage.action == "failed":
            print_failure(Event(stage, "failed", stage.reason), work.store, work.spec)
    if not any(s.action in ("run", "follow") for s in plan.stages):
        return Exit.STAGE_FAILED
    plan, origin, patch = with_origin(plan, work.root, sys.argv[1:], allow_dirty=args.allow_dirty)
    if is_driven(target.client, plan):
        print(f"{plan.name} on {plan.environment_name} is being run already; nothing was changed")
    else:
        _start(work, plan, target, origin, patch, yes=args.yes)
    return follow(plan, target, work) if args.wait else _print_driver(plan, target, work)


def _start(
    work: Workspace, plan: Plan, target: Kubernetes, origin: Origin, patch: bytes, *, yes: bool
) -> None:
    """Start the driver. Everything that may refuse comes before everything that writes."""
    requests = [target.prepare(plan, s) for s in plan.stages if s.action == "run"]
    environment = plan.environment
    assert has_pools(environment)
    manifests = [*driver_objects(plan), *(item for r in requests for item in r.objects)]
    check(manifests, environment, work.environment_document)
    refuse_broken_rules(plan, work.root, work.store)
    result = preflight(target.client, requests, driver_objects(plan))
    for line in result.unchecked:
        note(f"note: {line}")
    if result.refusals:
        raise SpecErrors(locate_refusals(result.refusals, work))
    print(f"{plan.name} on {plan.environment_name}: {describe_counts(plan)}")
    if not yes:
        _confirm(plan, target)
    save_origin(work.store, origin, patch)
    store_code(work.store)
    save_plan(plan, work.store)
    for digest in withdraw_superseded_plans(target.client, plan):
        print(f"plan {digest}, of the same stages placed otherwise, is withdrawn for this one")
    wanted = [target.prepare(plan, s).objects for s in plan.stages if s.action in ("run", "follow")]
    for change in replace_unstarted_jobs(target.client, wanted):
        print(change)
    start_driver(target.client, plan)


def _confirm(plan: Plan, target: Kubernetes) -> None:
    """Ask before stages start. Raise `UsageError` without a terminal, `KeyboardInterrupt` if the answer is no."""
    count = sum(s.action == "run" for s in plan.stages)
    where = f"{target.client.namespace} at {target.client.access.server}"
    unattended = (
        f"{count} stages would start in {where}: stdin is not a terminal, so they cannot be confirmed"
    )
    if not confirm(f"start {count} stages in {where}?", unattended=unattended):
        print("nothing was started")
        raise KeyboardInterrupt


def locate_refusals(refusals: list[Refusal], work: Workspace) -> list[Diagnostic]:
    """Return what the API server refuses, at the line of the spec or of the environment that it comes from."""
    environment = work.plan.environment
    assert has_pools(environment)
    document = work.environment_document
    diagnostics = []
    for refused in refusals:
        variants = refused.stage.variants if refused.stage else ()
        spec = next(
            (i.document for i in work.loaded if i.experiment.name in variants), work.loaded[0].document
        )
        where = error_origin(refused.field, refused.message, refused.stage, environment, spec.data)
        file = spec if where.file == "spec" else document
        what = refused.stage.name if refused.stage else "the driver"
        field = f"`{refused.field}`: " if refused.field else ""
        diagnostics.append(
            Diagnostic(
                "C2F461",
                file.place(where.loc),
                f"the cluster refuses {what}: {field}{refused.message}",
                "nothing was started; `c2f-spec doctor` checks the whole environment",
            )
        )
    return diagnostics


def follow(plan: Plan, target: Kubernetes, work: Workspace) -> int:
    """Print events until every stage has ended, and return the exit code. Ctrl-C ends the printing and nothing else."""
    printer = EventPrinter(plan, work.store)
    events: dict[str, Event] = {}

    def wait(check_interrupt: Callable[[], None]) -> None:
        printer.draw()
        until = time.monotonic() + FOLLOW_RESYNC
        check_interrupt()
        while not target.changed.wait(INTERRUPT_SECONDS) and time.monotonic() < until:
            check_interrupt()
        target.wait()
        _check_driver(plan, target)

    target.resync = FOLLOW_RESYNC
    try:
        target.open()
        with interrupts_deferred() as check_interrupt:
            for event in run(plan, target, wait=lambda: wait(check_interrupt), submit=False):
                events[event.stage.key] = event
                printer.print_event(event)
    except KeyboardInterrupt:
        printer.clear()
        print(f"{plan.name} goes on in the cluster; `c2f-spec cancel {work.spec}` stops it")
        return Exit.INTERRUPTED
    finally:
        printer.clear()
        target.close()
    failed = [e for e in events.values() if e.status == "failed"]
    for event in failed:
        print_failure(event, work.store, work.spec)
    return Exit.STAGE_FAILED if failed else _print_driver(plan, target, work)


def _check_driver(plan: Plan, target: Kubernetes) -> None:
    """Raise `Unreachable` if no driver runs the plan any more although some stage could go on."""
    job = target.client.get(JOBS, names.driver_name(plan.digest))
    if job is not None and not end_condition(job):
        return
    target.refresh()
    state = target.store_state
    left = [s for s in plan.stages if s.key not in state.done and not state.failed(s.key)]
    if left and not any(state.failed(s.key) for s in plan.stages):
        what = "was removed" if job is None else "has ended"
        raise Unreachable(
            f"the driver of {plan.name} {what}, and {len(left)} stages are left",
            hint="it was cancelled, or `kubectl logs` of its pod says more; `apply` goes on from here",
        )


def _print_driver(plan: Plan, target: Kubernetes, work: Workspace) -> int:
    spec = work.spec
    print(f"driver: {names.driver_name(plan.digest)} in {target.client.namespace}")
    print(f"follow: c2f-spec status {spec}   c2f-spec logs {spec} STAGE   c2f-spec apply {spec} --wait")
    return Exit.OK
