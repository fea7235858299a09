"""`Plan` → `Plan` with an action and a reason for each stage. The only reader of the store before a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec.keys import leaves
from c2f_spec.plan.adopted import is_adopted
from c2f_spec.plan.changes import between, told
from c2f_spec.plan.stored import Stored
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.objects import Objects


def annotate(plan: Plan, objects: Objects, running: Callable[[Stage], bool]) -> Plan:
    """Look every stage up; `running` asks the target whether somebody is computing it now."""
    look = _Look(plan, Stored(objects), running)
    return replace(plan, stages=tuple(map(look.at, plan.stages)), _by_key={})


class _Look:
    """One look at the stages of a plan, inputs before what needs them."""

    def __init__(self, plan: Plan, stored: Stored, running: Callable[[Stage], bool]) -> None:
        self.plan, self.stored, self.running = plan, stored, running
        self.broken = stored.broken(plan.stages)
        self.stopped: dict[str, str] = {}
        """Failed and blocked stages, by key, with their names."""

    def at(self, stage: Stage) -> Stage:
        found = self._annotated(stage)
        if found.action in ("failed", "blocked"):
            self.stopped[stage.key] = stage.name
        return found

    def _annotated(self, stage: Stage) -> Stage:
        if stage.key in self.broken:
            reason = "its record stands but files are missing or have another size"
            return replace(stage, action="failed", reason=reason)
        if stage.key in self.stored.done(stage.kind):
            return replace(stage, action="reuse", reason="")
        if is_adopted(stage):
            return replace(stage, action="failed", reason="what was adopted for it is not in this store")
        if self.running(stage):
            return replace(stage, action="follow", reason="running now")
        if self.stored.is_failed(stage):
            last = records.failures(self.stored.objects, stage.kind, stage.key)[-1]
            return replace(stage, action="failed", reason=str(last.get("message", "failed before")))
        needed = next((self.stopped[key] for key in stage.inputs.values() if key in self.stopped), None)
        if needed:
            return replace(stage, action="blocked", reason=f"needs {needed}")
        return replace(stage, action="run", reason=self._why(stage))

    def _why(self, stage: Stage) -> str:
        """What differs from the nearest stage of this kind that is done."""
        if stage.key in self.stored.planned(stage.kind):
            return "planned before, not done"
        nearest = self.stored.nearest(stage)
        if nearest is None:
            return "never run"
        found = between(nearest[1], leaves(stage.preimage), evaluates=stage.kind == "evaluate")
        return told(found, self.plan.name_of)
