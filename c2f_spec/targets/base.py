"""What a target is: five functions, the same for a machine and for a cluster.

`tests/test_targets.py` holds every target to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage


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
    way_out: str = ""
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
