"""`apply`: the loop of `run.py` with its events told, then tracking and the report."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import output
from c2f_spec.cli.launch import launched, noted
from c2f_spec.cli.plan_output import counts
from c2f_spec.cli.policy_check import judged, refuse_broken
from c2f_spec.cli.report import report_place, write_report, written
from c2f_spec.cli.workspace import Work, annotated, open_work, refuse_unstaged
from c2f_spec.errors import Exit, StalePlan, UsageError, sanitize
from c2f_spec.execution.run import run, save_plan
from c2f_spec.plan.compile import repository
from c2f_spec.plan.model import until
from c2f_spec.plan.plan_file import AGAIN, moved, read_plan
from c2f_spec.targets.base import backend_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan


MOST = 12
"""Lines of what moved that are told."""


def is_saved(args: Namespace) -> bool:
    """Is `apply` given a plan and not specs?"""
    return len(args.specs) == 1 and str(args.specs[0]).endswith(".json")


def open_saved(args: Namespace) -> Work:
    """The work of a saved plan, annotated. Raises `Stale`, and what compiling its specs raises."""
    path = Path(args.specs[0])
    if args.settings or args.on or args.until:
        raise UsageError(
            "a plan says its own settings and environment",
            hint="leave out `--set`, `--on` and `--until`, or name the spec",
        )
    reviewed = read_plan(path)
    root = repository(Path.cwd() / path.name)
    asked = reviewed.asked
    gone = [spec for spec in asked.specs if not (root / spec).is_file()]
    if gone:
        raise StalePlan(
            f"{path} is of {', '.join(gone)}, not in {root}", hint="run this in the repository of the spec"
        )
    call = Namespace(**vars(args))
    call.specs, call.settings = [_shown(root / s) for s in asked.specs], list(asked.settings)
    call.on = reviewed.environment_name
    work = open_work(call, to_run=True)
    plan = annotated(replace(work, plan=until(work.plan, asked.until)) if asked.until else work)
    found = moved(reviewed, plan)
    if found:
        more = [f"  and {len(found) - MOST} more"] if len(found) > MOST else []
        lines = "\n".join([*(f"  {sanitize(line)}" for line in found[:MOST]), *more])
        raise StalePlan(f"{path} is not what would run now:\n{lines}", hint=f"review it again: {AGAIN}")
    return replace(work, plan=plan)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


POLL_SECONDS, POLL_SECONDS_REMOTE = 0.1, 1.0
"""Between two looks at the store: in a folder of this machine, and in a bucket, where each is a request a stage."""


def apply_plan(work: Work, plan: Plan, *, report: bool, allow_dirty: bool) -> int:
    """Run what is missing; returns the exit code."""
    missing = [s for s in plan.stages if s.action != "reuse"]
    if not missing:
        print(f"nothing to do: all {len(plan.stages)} stages of {plan.name} are done")
        _track(work, plan)
        output.pointer(report_place(plan, work.objects) if report else None)
        return Exit.OK
    refuse_broken(judged(plan, work.loaded[0].root, work.objects))
    plan = launched(plan, work.objects, work.loaded[0].root, allow_dirty=allow_dirty)
    print(f"{plan.name} on {plan.environment_name}: {counts(plan)}")
    save_plan(plan, work.objects)
    teller = output.Teller(plan, work.objects)
    pause = POLL_SECONDS if work.objects.local("records") is not None else POLL_SECONDS_REMOTE
    events: dict[str, Event] = {}
    try:
        with noted() as heed:
            for event in run(plan, work.target, wait=lambda: _wait(teller, heed, pause)):
                events[event.stage.key] = event
                teller.tell(event)
    except KeyboardInterrupt:
        return _interrupted(work, events, teller)
    finally:
        teller.clear()
    place = write_report(work.plan, work.objects, None) if report else None
    _track(work, plan)
    output.pointer(place)
    failed = [e for e in events.values() if e.status == "failed"]
    for event in failed:
        output.failure(event, work.objects, work.loaded[0].document.text.path)
    return Exit.STAGE_FAILED if failed else Exit.OK


def _track(work: Work, plan: Plan) -> None:
    """After the report, which it takes along. A tracker that is away changes nothing else."""
    if work.tracking is None:
        return
    from c2f_spec.execution.tracking import track_new

    if problem := track_new(plan, work.objects, work.tracking, lambda: written(plan, work.objects)):
        output.note(problem)


def _wait(teller: output.Teller, heed: Callable[[], None], pause: float) -> None:
    heed()
    teller.draw()
    time.sleep(pause)


def _interrupted(work: Work, events: dict[str, Event], teller: output.Teller) -> int:
    """Stop what this call started; what somebody else runs goes on, and is named."""
    teller.clear()
    for event in [e for e in events.values() if not e.final]:
        if event.status == "started":
            print(f"stopping {event.stage.name} ...", flush=True)
            work.target.cancel(event.stage)
        else:
            print(f"{event.stage.name} goes on: another apply started it")
    print("interrupted; finished stages are kept, and `apply` goes on from here")
    return Exit.INTERRUPTED


# The verbs. Each is what its name says, in a few lines: load, do, show.


def apply(args: Namespace) -> int:
    """Run what is missing. Exit 8 if a stage failed; what needs it did not run, everything else did."""
    if is_saved(args):
        work = open_saved(args)
        plan = work.plan
    else:
        work = open_work(args, to_run=True)
        if args.until:
            work = replace(work, plan=until(work.plan, args.until))
        plan = annotated(work)
    refuse_unstaged(work, plan)
    if backend_of(plan.environment.kind).has_driver:
        from c2f_spec.cli.apply_cluster import apply_on_cluster

        return apply_on_cluster(work, plan, args)
    return apply_plan(work, plan, report=not args.no_report, allow_dirty=args.allow_dirty)
