"""The loop: submit what is ready, tell what changed. No state of its own: the store and the target remember.

Nothing else writes `plan.json` and the preimages, and it does so before the first submit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.plan.claims import register
from c2f_spec.plan.saved import to_json
from c2f_spec.store import records
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.objects import Objects
    from c2f_spec.targets.base import Target

What = Literal["reused", "following", "started", "done", "failed", "blocked"]


@dataclass(frozen=True, slots=True)
class Event:
    """A stage came to a new place."""

    stage: Stage
    what: What
    detail: str = ""

    @property
    def final(self) -> bool:
        return self.what in ("reused", "done", "failed", "blocked")


def save(plan: Plan, objects: Objects) -> None:
    """Write down what is about to run."""
    objects.create(f"plans/{plan.digest}/plan.json", json.dumps(to_json(plan), indent=1).encode())
    for stage in plan.stages:
        records.save_preimage(objects, stage.kind, stage.key, stage.preimage)
    register(plan, objects)


def run(plan: Plan, target: Target[Any], *, wait: Callable[[], None]) -> Iterator[Event]:
    """Bring every stage to an end, each after its inputs; a failure stops what needs it and nothing else.

    `wait` is called between two looks at the target.
    """
    last: dict[str, Event] = {}
    while True:
        for stage in plan.stages:
            event = _look(stage, plan, target, last)
            if event is not None:
                last[stage.key] = event
                yield event
        if len(last) == len(plan.stages) and all(e.final for e in last.values()):
            return
        wait()


def _look(stage: Stage, plan: Plan, target: Target[Any], last: dict[str, Event]) -> Event | None:
    """What is new about a stage, submitting it if its time has come."""
    before = last.get(stage.key)
    if before is not None and before.final:
        return None
    status = target.state(stage)
    if before is None:
        return _first(stage, plan, target, last, status.state, status.detail)
    if status.state is State.DONE:
        return Event(stage, "done")
    if status.state is State.FAILED:
        return Event(stage, "failed", status.detail)
    if status.state is State.ABSENT:
        # What we followed ended without a result: it is ours to start now.
        return _start(stage, plan, target, last)
    return None


def _first(
    stage: Stage, plan: Plan, target: Target[Any], last: dict[str, Event], state: State, detail: str
) -> Event | None:
    if state is State.DONE:
        return Event(stage, "reused")
    if state is State.FAILED:
        return Event(stage, "failed", detail)
    if state is State.RUNNING:
        return Event(stage, "following")
    needed = [last.get(key) for key in stage.inputs.values()]
    for event in needed:
        if event is not None and event.what in ("failed", "blocked"):
            return Event(stage, "blocked", f"needs {event.stage.name}")
    if any(event is None or not event.final for event in needed):
        return None
    return _start(stage, plan, target, last)


def _start(stage: Stage, plan: Plan, target: Target[Any], last: dict[str, Event]) -> Event | None:
    busy = sum(not event.final for key, event in last.items() if key != stage.key)
    if busy >= target.slots:
        return None
    target.submit(target.prepare(plan, stage))
    return Event(stage, "started")
