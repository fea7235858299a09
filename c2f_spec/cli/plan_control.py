"""The verbs over a plan that runs or has run: `logs`, `shell`, `cancel`, `retry`, `delete`.

What other plans need goes on, and stays, unless `--force` is given.
"""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

from c2f_spec.cli.output import confirm, note
from c2f_spec.cli.workspace import choose_stages, compile_work, find_stage
from c2f_spec.errors import MEANING, Exit, StageExit
from c2f_spec.plan.model import with_dependents
from c2f_spec.store import records
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection, Mapping

    from c2f_spec.cli.workspace import Workspace
    from c2f_spec.plan.model import Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Status

MOST_NAMES = 20
"""Objects that are printed before they are removed."""


def logs(args: Namespace) -> int:
    """Print the logs of a stage, of all attempts; or the stages that have logs, if none is named."""
    work = compile_work(args)
    if args.stage is None:
        with_logs = [s for s in work.plan.stages if any(True for _ in work.control.logs(s))]
        print("\n".join(f"{s.name}  {s.label}" for s in with_logs) or "no stage has run yet")
        return Exit.OK
    for line in work.control.logs(find_stage(work.plan, args.stage), follow=args.follow):
        print(line, flush=True)
    return Exit.OK


def shell(args: Namespace) -> int:
    """Start the pod of a stage, asleep, and print the command that enters it: entering needs a terminal."""
    work = compile_work(args)
    print(work.control.shell(work.plan, find_stage(work.plan, args.stage)))
    return Exit.OK


def cancel(args: Namespace) -> int:
    """Cancel a whole plan, which then starts nothing more, or one stage, which then counts as cancelled."""
    work = compile_work(args)
    plan, control = work.plan, work.control
    others = control.plans_that_need(plan)
    if args.stage is None:
        control.withdraw(plan)
    known = control.statuses(plan.stages)
    running = [s for s in choose_stages(plan, args.stage) if _is_running(s, known)]
    needed = [s for s in running if s.key in others and not args.force]
    for stage in needed:
        print(
            f"{stage.name} goes on: {', '.join(others[stage.key])} also needs it (--force stops it nevertheless)"
        )
    stopping = [s for s in running if s not in needed]
    if args.stage is not None or args.force:
        # Without a recorded failure, the driver of a plan that needs the stage would start it again.
        recorded = stopping if args.stage is not None else [s for s in stopping if s.key in others]
        _record_cancelled(work.store, recorded)
        control.notify_retry(plan)
    control.cancel(stopping, note)
    if args.stage is None:  # a driver may have been in the middle of starting one when its plan was withdrawn
        known = control.statuses(plan.stages)
        late = [s for s in plan.stages if _is_running(s, known) and s not in needed]
        control.cancel(late, note)
        stopping += [stage for stage in late if stage not in stopping]
    for stage in stopping:
        print(f"{stage.name} has stopped")
        _print_followers(work, stage, others)
    if not running and not stopping:
        print("nothing is running")
    return Exit.OK


def _is_running(stage: Stage, statuses: Mapping[str, Status]) -> bool:
    return stage.key in statuses and statuses[stage.key].state is State.RUNNING


def _print_followers(work: Workspace, stage: Stage, others: Collection[str]) -> None:
    plan = work.plan
    waiting = [plan.stage(key).name for key in with_dependents(plan, [stage.key]) if key != stage.key]
    if waiting:
        print(
            f"  wait for it: {', '.join(sorted(waiting))}; `c2f-spec apply {work.spec}` goes on from its last checkpoint"
        )
    if stage.key in others:
        print("  other plans wait for it: they see it as failed")


def _record_cancelled(store: ObjectStore, stages: list[Stage]) -> None:
    for stage in stages:
        failure = {
            "code": int(StageExit.STOPPED),
            "class": MEANING[StageExit.STOPPED],
            "message": f"cancelled by {getpass.getuser()} on {socket.gethostname()}",
            "hint": "`retry` lets it go on from its last checkpoint",
        }
        records.add_failure(store, stage.kind, stage.key, failure)


def retry(args: Namespace) -> int:
    """Clear the failures of one stage, or of all. A driver that still runs goes on at once, otherwise `apply` does."""
    work = compile_work(args)
    store = work.store
    failed = [s for s in choose_stages(work.plan, args.stage) if records.is_failed(store, s.kind, s.key)]
    for stage in failed:
        records.retry(store, stage.kind, stage.key)
        avoided = records.faulty_nodes(store, stage.kind, stage.key)
        elsewhere = f", not on {', '.join(avoided)}" if avoided else ""
        print(f"{stage.name} will be tried again by `apply`{elsewhere}")
    if failed:
        work.control.notify_retry(work.plan)
        print(f"next: c2f-spec apply {work.spec}")
    else:
        print("nothing has failed")
    return Exit.OK


def delete(args: Namespace) -> int:
    """Remove the objects or processes of a plan, which are printed first. Exit 4 if something is left."""
    work = compile_work(args)
    plan, control = work.plan, work.control
    others = control.plans_that_need(plan)
    kept = () if args.force else tuple(others)
    names = control.deletable(plan, kept)
    keys = {s.key for s in plan.stages}
    if needed := sorted(plan.stage(key).name for key in kept if key in keys):
        print(f"kept for other plans: {', '.join(needed)} (--force removes them nevertheless)")
    if not names:
        print(f"nothing to remove: {plan.name} has no objects or processes; results stay in the store")
        return Exit.OK
    left = len(names) - MOST_NAMES
    print("\n".join([*names[:MOST_NAMES], *([f"and {left} more"] if left > 0 else [])]))
    unattended = "delete asks before it removes: stdin is not a terminal, so it cannot be confirmed"
    if not args.yes and not confirm(f"remove these {len(names)}?", unattended=unattended):
        print("nothing was removed")
        return Exit.OK
    if remaining := control.delete(plan, kept, note):
        print("\n".join(["these could not be removed:", *remaining]))
        return Exit.DIFFERENCE
    print(f"removed; nothing of {plan.name} is left, and its results stay in the store")
    return Exit.OK
