"""`cancel`: ask running stages to save and stop. What other plans need goes on, unless `--force` is given."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note
from c2f_spec.cli.workspace import choose_stages, compile_work
from c2f_spec.errors import MEANING, Exit, StageExit
from c2f_spec.plan.model import following
from c2f_spec.store import records
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection

    from c2f_spec.cli.workspace import Workspace
    from c2f_spec.plan.model import Stage
    from c2f_spec.store.protocol import ObjectStore


def cancel(args: Namespace) -> int:
    """Cancel a whole plan, which then starts nothing more, or one stage, which then counts as cancelled."""
    work = compile_work(args)
    plan, control = work.plan, work.control
    others = control.plans_that_need(plan)
    if args.stage is None:
        control.withdraw(plan)
    known = control.statuses(plan.stages)
    running = [
        s for s in choose_stages(plan, args.stage) if s.key in known and known[s.key].state is State.RUNNING
    ]
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
        late = [
            plan.stage(k)
            for k, s in known.items()
            if s.state is State.RUNNING and plan.stage(k) not in needed
        ]
        control.cancel(late, note)
        stopping += [stage for stage in late if stage not in stopping]
    for stage in stopping:
        print(f"{stage.name} has stopped")
        _print_followers(work, stage, others)
    if not running and not stopping:
        print("nothing is running")
    return Exit.OK


def _print_followers(work: Workspace, stage: Stage, others: Collection[str]) -> None:
    plan = work.plan
    waiting = [plan.stage(key).name for key in following(plan, [stage.key]) if key != stage.key]
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
