"""This machine from outside: processes by their locks, logs as they are written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from c2f_spec.errors import WrongUsage
from c2f_spec.targets.base import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.targets.base import Status
    from c2f_spec.targets.local import Local

POLL_SECONDS = 0.5


class LocalControl:
    """Over the same store and locks as the target that runs stages."""

    def __init__(self, target: Local) -> None:
        self.target = target

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        found = {stage.key: self.target.state(stage) for stage in stages}
        return {key: status for key, status in found.items() if status.state is State.RUNNING}

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        seen = 0
        while True:
            running = self.target.busy(stage)  # before the look, so that nothing is missed
            lines = list(self.target.logs(stage))
            yield from lines[seen:]
            seen = len(lines)
            if not (follow and running):
                return
            time.sleep(POLL_SECONDS)

    def others(self, plan: Plan) -> dict[str, tuple[str, ...]]:  # noqa: ARG002
        return {}  # another `apply` that follows a stage starts it again if it ends without a result

    def withdraw(self, plan: Plan) -> None:
        """The `apply` of a terminal is its own driver: Ctrl-C ends it."""

    def cancel(self, stages: Sequence[Stage], say: Callable[[str], None]) -> None:
        for stage in stages:
            say(f"{stage.name} saves and stops")
            self.target.cancel(stage)

    def forgiven(self, plan: Plan) -> None:
        """`apply` looks at the store by itself."""

    def belongings(self, plan: Plan, kept: Iterable[str]) -> list[str]:  # noqa: ARG002
        return [f"process of {plan.stage(key).name}" for key in self.statuses(plan.stages)]

    def delete(self, plan: Plan, kept: Iterable[str], say: Callable[[str], None]) -> list[str]:
        self.cancel([plan.stage(key) for key in self.statuses(plan.stages)], say)
        return self.belongings(plan, kept)

    def shell(self, plan: Plan, stage: Stage) -> str:  # noqa: ARG002
        raise WrongUsage(
            "`shell` is for clusters: on this machine you are where the stages run",
            hint="`c2f-spec logs` says what a stage printed; its inputs are in the store",
        )
