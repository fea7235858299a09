"""The verbs. Each is what its name says, in a few lines: load, do, show."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import show
from c2f_spec.cli.work import annotated, open_work
from c2f_spec.errors import Exit, WrongUsage
from c2f_spec.plan.subset import until
from c2f_spec.store import records
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan, Stage


def expand(args: Namespace) -> int:
    from c2f_spec.cli.expand import expand_spec

    return expand_spec(args)


def apply(args: Namespace) -> int:
    """Run what is missing. Exit 8 if a stage failed; what needs it did not run, everything else did."""
    from c2f_spec.cli.apply import apply_plan
    from c2f_spec.cli.saved import is_saved, open_saved

    if is_saved(args):
        work = open_saved(args)
        return apply_plan(work, work.plan, report=not args.no_report, allow_dirty=args.allow_dirty)
    work = open_work(args, to_run=True)
    if args.until:
        work = replace(work, plan=until(work.plan, args.until))
    return apply_plan(work, annotated(work), report=not args.no_report, allow_dirty=args.allow_dirty)


def status(args: Namespace) -> int:
    work = open_work(args)
    show.status(annotated(work), work.objects, args.output)
    return Exit.OK


def logs(args: Namespace) -> int:
    work = open_work(args)
    if args.stage is None:
        with_logs = [s for s in work.plan.stages if any(True for _ in work.target.logs(s))]
        print("\n".join(f"{s.name}  {s.label}" for s in with_logs) or "no stage has run yet")
        return Exit.OK
    stage = stage_of(work.plan, args.stage)
    seen = 0
    while True:
        running = work.target.state(stage).state is State.RUNNING
        lines = list(work.target.logs(stage))
        for line in lines[seen:]:
            print(line, flush=True)
        seen = len(lines)
        if not (args.follow and running):
            return Exit.OK
        time.sleep(0.5)


def report(args: Namespace) -> int:
    from c2f_spec.cli.apply import write_report

    work = open_work(args)
    print(write_report(work, Path(args.out) if args.out else None))
    return Exit.OK


def retry(args: Namespace) -> int:
    """Forgive the failures of one stage, or of all."""
    work = open_work(args)
    chosen = [stage_of(work.plan, args.stage)] if args.stage else work.plan.stages
    failed = [s for s in chosen if records.is_failed(work.objects, s.kind, s.key)]
    for stage in failed:
        records.retry(work.objects, stage.kind, stage.key)
        print(f"{stage.name} will be tried again by `apply`")
    if not failed:
        print("nothing has failed")
    return Exit.OK


def cancel(args: Namespace) -> int:
    work = open_work(args)
    chosen = [stage_of(work.plan, args.stage)] if args.stage else work.plan.stages
    running = [s for s in chosen if work.target.state(s).state is State.RUNNING]
    for stage in running:
        work.target.cancel(stage)
        print(f"{stage.name} has stopped")
    if not running:
        print("nothing is running")
    return Exit.OK


def schema(_args: Namespace) -> int:
    from c2f_spec.jsonschema import text

    print(text(), end="")
    return Exit.OK


def stage_of(plan: Plan, word: str) -> Stage:
    """The stage whose name, key or kind starts with `word`. Raises `WrongUsage` unless there is exactly one."""
    found = [s for s in plan.stages if word in (s.name, s.key)] or [
        s for s in plan.stages if s.name.startswith(word) or s.key.startswith(word)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(s.name for s in (found or plan.stages))
    raise WrongUsage(
        f"{'no stage' if not found else f'{len(found)} stages'} `{word}`", hint=f"one of {names}"
    )
