"""`apply`: the loop of `run.py` with its events told, then tracking and the report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from c2f_spec.cli import show
from c2f_spec.cli.forms.plan import counts
from c2f_spec.cli.interrupt import noted
from c2f_spec.cli.judged import judged, refuse_broken
from c2f_spec.cli.launch import launched
from c2f_spec.cli.report import report_place, write_report, written
from c2f_spec.errors import Exit
from c2f_spec.run import run, save

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.cli.work import Work
    from c2f_spec.plan.model import Plan
    from c2f_spec.run import Event

POLL_SECONDS, POLL_SECONDS_REMOTE = 0.1, 1.0
"""Between two looks at the store: in a folder of this machine, and in a bucket, where each is a request a stage."""


def apply_plan(work: Work, plan: Plan, *, report: bool, allow_dirty: bool) -> int:
    """Run what is missing; returns the exit code."""
    missing = [s for s in plan.stages if s.action != "reuse"]
    if not missing:
        print(f"nothing to do: all {len(plan.stages)} stages of {plan.name} are done")
        _track(work, plan)
        show.pointer(report_place(plan, work.objects) if report else None)
        return Exit.OK
    refuse_broken(judged(plan, work.loaded[0].root, work.objects))
    plan = launched(plan, work.objects, work.loaded[0].root, allow_dirty=allow_dirty)
    print(f"{plan.name} on {plan.environment_name}: {counts(plan)}")
    save(plan, work.objects)
    teller = show.Teller(plan, work.objects)
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
    show.pointer(place)
    failed = [e for e in events.values() if e.what == "failed"]
    for event in failed:
        show.failure(event, work.objects, work.loaded[0].document.text.path)
    return Exit.STAGE_FAILED if failed else Exit.OK


def _track(work: Work, plan: Plan) -> None:
    """After the report, which it takes along. A tracker that is away changes nothing else."""
    if work.tracking is None:
        return
    from c2f_spec.track import catch_up

    if problem := catch_up(plan, work.objects, work.tracking, lambda: written(plan, work.objects)):
        show.note(problem)


def _wait(teller: show.Teller, heed: Callable[[], None], pause: float) -> None:
    heed()
    teller.draw()
    time.sleep(pause)


def _interrupted(work: Work, events: dict[str, Event], teller: show.Teller) -> int:
    """Stop what this call started; what somebody else runs goes on, and is named."""
    teller.clear()
    for event in [e for e in events.values() if not e.final]:
        if event.what == "started":
            print(f"stopping {event.stage.name} ...", flush=True)
            work.target.cancel(event.stage)
        else:
            print(f"{event.stage.name} goes on: another apply started it")
    print("interrupted; finished stages are kept, and `apply` goes on from here")
    return Exit.INTERRUPTED
