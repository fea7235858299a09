"""What a target is: five functions, the same for a machine and for a cluster.

`tests/targets/test_targets.py` holds every target to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage


class Control(Protocol):
    """A place where stages of a plan run, as `status`, `logs`, `cancel`, `retry`, `delete` and `shell` see it."""

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        """By key, where the stages are that the place knows of. Done and failed are the store's to say."""
        ...

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        """Lines of every attempt, oldest first, below a line that names it; with `follow`, until none comes any more."""
        ...

    def plans_that_need(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        """By key, names of other plans that are running and need the stage."""
        ...

    def withdraw(self, plan: Plan) -> None:
        """Nothing of the plan is started any more; what runs goes on. Not an error if nobody drives it."""
        ...

    def cancel(self, stages: Sequence[Stage], say: Callable[[str], None]) -> None:
        """Ask them to save and stop, and wait until they have. `say` is told what is waited for."""
        ...

    def notify_retry(self, plan: Plan) -> None:
        """Failures were forgiven, or made: whoever drives a plan that needs its stages should look again."""
        ...

    def deletable(self, plan: Plan, kept: Iterable[str]) -> list[str]:
        """What `delete` would remove, by name; stages with a key in `kept` stay."""
        ...

    def delete(self, plan: Plan, kept: Iterable[str], say: Callable[[str], None]) -> list[str]:
        """Remove all of that, wait until it is gone, and name what is not. The store is not touched."""
        ...

    def shell(self, plan: Plan, stage: Stage) -> str:
        """Start a place to look around in, as the stage has it, for two hours; the command that enters it."""
        ...


class State(Enum):
    """Where a stage is, as its target and the store see it together."""

    ABSENT = "absent"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (State.DONE, State.FAILED)


class Phase(Enum):
    """Where a stage is, in the words of `status`: finer than what the loop needs to decide."""

    WAITING = "waiting-input"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SAVING = "saving"
    DONE = "done"
    FAILED = "failed"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Status:
    """A state, and in words why."""

    state: State
    detail: str = ""
    phase: Phase | None = None
    """Where the target knows more than the state says."""
    remedy: str = ""
    """What somebody can do about it; empty where waiting is enough."""


Request = TypeVar("Request")


class Target(Protocol, Generic[Request]):
    """A place to run stages."""

    def prepare(self, plan: Plan, stage: Stage) -> Request:
        """What would be submitted. Pure; printing it shows all of it."""
        ...

    def room(self, stage: Stage, beside: Sequence[Stage]) -> bool:
        """Whether a stage may be submitted, where those `beside` it are and have not ended."""
        ...

    def submit(self, *requests: Request) -> None:
        """Start them. Submitting what is running or done starts nothing."""
        ...

    def state(self, stage: Stage) -> Status:
        """A record in the store means done, whoever made it."""
        ...

    def logs(self, stage: Stage) -> Iterator[str]:
        """Lines of every attempt, oldest first, with a line that names each attempt."""
        ...

    def cancel(self, stage: Stage) -> None:
        """Ask it to save and stop, and wait until it has. Not an error if it already stopped."""
        ...
