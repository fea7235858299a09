"""`apply`: run what is missing on this machine, then tracking and the report; `apply_cluster` does it on a cluster."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import relative
from c2f_spec.cli.plan_output import describe_counts
from c2f_spec.cli.report import track, write_report
from c2f_spec.cli.run_output import EventPrinter, interrupts_deferred, print_failure, print_report_place
from c2f_spec.cli.workspace import (
    Workspace,
    annotate_plan,
    compile_work,
    refuse_broken_rules,
    refuse_unstaged,
)
from c2f_spec.errors import Exit, StalePlan, UsageError, sanitize
from c2f_spec.execution.provenance import save_origin, with_origin
from c2f_spec.execution.run import run, save_plan
from c2f_spec.plan.compile import repository
from c2f_spec.plan.model import plan_until
from c2f_spec.plan.plan_file import RENEW_HINT, read_plan, stale_differences

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.execution.run import Event

MOST_DIFFERENCES = 12
"""Differences of a stale plan that are printed."""
POLL_SECONDS, POLL_SECONDS_REMOTE = 0.1, 1.0
"""Seconds between two reads of a folder, and of a bucket, where each read is a request a stage."""


def apply(args: Namespace) -> int:
    """Run what is missing. Exit 8 if a stage failed; stages that need it did not run, all others did."""
    if len(args.specs) == 1 and str(args.specs[0]).endswith(".json"):
        work = open_plan_file(args)
    else:
        work = compile_work(args, warn=True, runnable=True)
        if args.until:
            work = replace(work, plan=plan_until(work.plan, args.until))
        work = replace(work, plan=annotate_plan(work))
    refuse_unstaged(work, work.plan)
    if work.backend.has_driver:
        from c2f_spec.cli.apply_cluster import apply_on_cluster

        return apply_on_cluster(work, args)
    return apply_here(work, report=not args.no_report, allow_dirty=args.allow_dirty)


def open_plan_file(args: Namespace) -> Workspace:
    """Return the work of a reviewed plan, annotated.

    Raises `StalePlan` if it is not what would run now, and what compiling its specs raises.
    """
    path = Path(args.specs[0])
    if args.settings or args.on or args.until:
        raise UsageError(
            "a plan file has its own settings and environment",
            hint="remove `--set`, `--on` and `--until`, or name the spec",
        )
    reviewed = read_plan(path)
    root = repository(Path.cwd() / path.name)
    request = reviewed.request
    missing = [spec for spec in request.specs if not (root / spec).is_file()]
    if missing:
        raise StalePlan(
            f"{path}: specs not found in {root}: {', '.join(missing)}",
            hint="run this in the repository of the spec",
        )
    call = Namespace(**vars(args))
    call.specs, call.settings = [relative(root / s) for s in request.specs], list(request.settings)
    call.on = reviewed.environment_name
    work = compile_work(call, warn=True, runnable=True)
    if request.until:
        work = replace(work, plan=plan_until(work.plan, request.until))
    work = replace(work, plan=annotate_plan(work))
    if differences := stale_differences(reviewed, work.plan):
        left = len(differences) - MOST_DIFFERENCES
        lines = [f"  {sanitize(line)}" for line in differences[:MOST_DIFFERENCES]]
        lines += [f"  and {left} more"] if left > 0 else []
        text = "\n".join(lines)
        raise StalePlan(f"{path} is not what would run now:\n{text}", hint=f"review it again: {RENEW_HINT}")
    return work


def apply_here(work: Workspace, *, report: bool, allow_dirty: bool) -> int:
    """Run what is missing with a target that has no driver, and return the exit code."""
    plan, store = work.plan, work.store
    if all(s.action == "reuse" for s in plan.stages):
        print(f"nothing to do: all {len(plan.stages)} stages of {plan.name} are done")
        place = write_report(plan, store, None) if report else None
        track(plan, store, work.tracking)
        print_report_place(place)
        return Exit.OK
    refuse_broken_rules(plan, work.root, store)
    plan, origin, patch = with_origin(plan, work.root, sys.argv[1:], allow_dirty=allow_dirty)
    save_origin(store, origin, patch)
    print(f"{plan.name} on {plan.environment_name}: {describe_counts(plan)}")
    save_plan(plan, store)
    printer = EventPrinter(plan, store)
    pause = POLL_SECONDS if store.local("records") is not None else POLL_SECONDS_REMOTE
    events: dict[str, Event] = {}
    try:
        with interrupts_deferred() as check_interrupt:
            for event in run(plan, work.target, wait=lambda: _wait(printer, check_interrupt, pause)):
                events[event.stage.key] = event
                printer.print_event(event)
    except KeyboardInterrupt:
        printer.clear()
        return _interrupt(work, events)
    finally:
        printer.clear()
    place = write_report(work.plan, store, None) if report else None
    track(plan, store, work.tracking)
    print_report_place(place)
    failed = [e for e in events.values() if e.status == "failed"]
    for event in failed:
        print_failure(event, store, work.spec)
    return Exit.STAGE_FAILED if failed else Exit.OK


def _wait(printer: EventPrinter, check_interrupt: Callable[[], None], pause: float) -> None:
    check_interrupt()
    printer.draw()
    time.sleep(pause)


def _interrupt(work: Workspace, events: dict[str, Event]) -> int:
    """Stop what this call started, and name what another `apply` started: that goes on."""
    for event in [e for e in events.values() if not e.final]:
        if event.status == "started":
            print(f"stopping {event.stage.name} ...", flush=True)
            work.target.cancel(event.stage)
        else:
            print(f"{event.stage.name} goes on: another apply started it")
    print("interrupted; finished stages are kept, and `apply` goes on from here")
    return Exit.INTERRUPTED
