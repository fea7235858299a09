"""The loop of a run: submit stages that are ready, yield what changed. Its only state is the store and the target.

Nothing else writes `plan.json` and the preimages, and it does so before the first submit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.plan.adopted import is_adopted
from c2f_spec.plan.costs import accounts_of
from c2f_spec.plan.hypotheses import register
from c2f_spec.plan.plan_file import to_json
from c2f_spec.store import ledger, records
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Target

EventStatus = Literal["reused", "following", "started", "done", "failed", "blocked"]


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a stage's status."""

    stage: Stage
    status: EventStatus
    detail: str = ""

    @property
    def final(self) -> bool:
        return self.status in ("reused", "done", "failed", "blocked")


def save_plan(plan: Plan, store: ObjectStore) -> None:
    """Store the plan, the preimages and accounts of its stages, and its hypotheses, before the first submit."""
    store.create(f"plans/{plan.digest}/plan.json", json.dumps(to_json(plan), indent=1).encode())
    records.save_preimages(store, [(s.kind, s.key, s.preimage) for s in plan.stages])
    # Stages that another launch runs or ran are on its account.
    own = [s for s in plan.stages if s.action not in ("reuse", "follow")]
    ledger.charge(store, accounts_of(plan, own))
    register(plan, store)


def run(plan: Plan, target: Target[Any], *, wait: Callable[[], None], submit: bool = True) -> Iterator[Event]:
    """Bring every stage to an end, each after its inputs; a failure stops what needs it and nothing else.

    Without `submit` another process submits, and this one only follows.

    `wait` is called between two reads of the target. Each reads the present state, not what happened since
    the last one: a stage that is retried goes on, and so does what it blocked.
    """
    last: dict[str, Event] = {}
    while True:
        events = []
        for stage in plan.stages:
            event = _next_event(stage, target, last)
            if event is not None and (submit or event.status != "started"):
                last[stage.key] = event
                events.append(event)
        target.submit(*(target.prepare(plan, e.stage) for e in events if e.status == "started"))
        yield from events
        if len(last) == len(plan.stages) and all(e.final for e in last.values()):
            return
        wait()


def _next_event(stage: Stage, target: Target[Any], last: dict[str, Event]) -> Event | None:
    """Return the change of a stage since its last event, or `None`; `started` if it is ready to be submitted."""
    before = last.get(stage.key)
    if before is not None and before.status in ("reused", "done"):
        return None
    status = target.state(stage)
    if status.state is State.DONE:
        return Event(stage, "reused" if before is None else "done")
    if status.state is State.FAILED:
        return None if before and before.status == "failed" else Event(stage, "failed", status.detail)
    if status.state is State.RUNNING:
        return Event(stage, "following") if before is None or before.final else None
    # Absent: never started, or the attempt that was followed ended without a result.
    needed = [last.get(key) for key in stage.inputs.values()]
    stopped = next((e for e in needed if e is not None and e.status in ("failed", "blocked")), None)
    if stopped is not None:
        blocked = before is not None and before.status == "blocked"
        return None if blocked else Event(stage, "blocked", f"needs {stopped.stage.name}")
    if any(event is None or not event.final for event in needed):
        return None
    if is_adopted(stage):
        failed = before is not None and before.status == "failed"
        return (
            None
            if failed
            else Event(stage, "failed", "the output that was adopted for it is not in this store")
        )
    beside = [event.stage for key, event in last.items() if key != stage.key and not event.final]
    return Event(stage, "started") if target.has_room(stage, beside) else None
