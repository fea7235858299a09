"""`cancel`: ask what runs to save and stop. What others need goes on, unless it is forced."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note
from c2f_spec.cli.workspace import chosen, open_control
from c2f_spec.errors import MEANING, Exit, StageExit
from c2f_spec.plan.model import following
from c2f_spec.store import records
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore


def cancel(args: Namespace) -> int:
    """Of a whole plan, nothing more is started, either; one stage alone is remembered as cancelled."""
    plan, objects, control, spec = open_control(args)
    others = control.plans_that_need(plan)
    if args.stage is None:
        control.withdraw(plan)
    known = control.statuses(plan.stages)
    running = [s for s in chosen(plan, args.stage) if s.key in known and known[s.key].state is State.RUNNING]
    kept = [s for s in running if s.key in others and not args.force]
    for stage in kept:
        print(
            f"{stage.name} goes on: {', '.join(others[stage.key])} needs it, too (--force stops it all the same)"
        )
    stopping = [s for s in running if s not in kept]
    if args.stage is not None or args.force:
        # Whoever drives a plan that needs it would start it again.
        wanted = stopping if args.stage is not None else [s for s in stopping if s.key in others]
        _remember(objects, wanted)
        control.notify_retry(plan)
    control.cancel(stopping, note)
    if args.stage is None:  # a driver may have been in the middle of starting one when its plan was withdrawn
        known = control.statuses(plan.stages)
        late = [
            plan.stage(k) for k, s in known.items() if s.state is State.RUNNING and plan.stage(k) not in kept
        ]
        control.cancel(late, note)
        stopping += [stage for stage in late if stage not in stopping]
    for stage in stopping:
        print(f"{stage.name} has stopped")
        _tell_followers(plan, stage, others, spec)
    if not running and not stopping:
        print("nothing is running")
    return Exit.OK


def _tell_followers(plan: Plan, stage: Stage, others: Collection[str], spec: str) -> None:
    waiting = [plan.stage(key).name for key in following(plan, [stage.key]) if key != stage.key]
    if waiting:
        print(
            f"  wait for it: {', '.join(sorted(waiting))}; `c2f-spec apply {spec}` goes on from its last checkpoint"
        )
    if stage.key in others:
        print("  other plans waited for it: they see it as failed")


def _remember(objects: ObjectStore, stages: list[Stage]) -> None:
    for stage in stages:
        failure = {
            "code": int(StageExit.STOPPED),
            "class": MEANING[StageExit.STOPPED],
            "message": f"cancelled by {getpass.getuser()} on {socket.gethostname()}",
            "hint": "`retry` lets it go on from its last checkpoint",
        }
        records.add_failure(objects, stage.kind, stage.key, failure)
