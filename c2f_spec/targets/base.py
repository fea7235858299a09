"""What a kind of target provides, and the registry of all kinds.

A `Backend` says what its kind can do and makes the two views of a place: a `Target` runs stages, a `Control` is what
`status`, `logs`, `cancel`, `retry`, `delete` and `shell` see. What the compiler must know of a kind (pins, pools, code)
is on its environment model (`spec/environment.py`), because a plan is made without targets.

`tests/targets/test_targets.py` holds every entry of the registry to these protocols.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from c2f_spec.diagnostics.health import Finding
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.plan.verify import Evidence
    from c2f_spec.spec.handoff import StageFile
    from c2f_spec.store.protocol import ObjectStore


TARGETS = {"local": "c2f_spec.targets.local", "kubernetes": "c2f_spec.targets.kubernetes.backend"}
"""Kind of an environment → module whose `BACKEND` makes its targets. Imported when it is needed."""


def backend_of(kind: str) -> Backend:
    """Return the backend of environments of this `kind`."""
    backend: Backend = import_module(TARGETS[kind]).BACKEND
    return backend


class Backend(Protocol):
    """A kind of target. Environments are of the model that its kind has in `spec/environment.py`."""

    renders_manifests: bool
    """Stages are submitted as manifests, which `render` prints and `--gitops` hands to another controller."""
    has_driver: bool
    """A driver inside the place runs the plan; without one, the `apply` of a terminal does."""

    def open_target(self, environment: Any, store: ObjectStore, plan: Plan) -> Target[Any]:
        """Return the target for one plan, its state read once. Raises `Unreachable`."""
        ...

    def open_control(self, environment: Any, store: ObjectStore) -> Control:
        """Return the view of running plans. Raises `Unreachable`."""
        ...

    def stage_file(self, plan: Plan, stage: Stage, store: ObjectStore) -> StageFile:
        """Return what the runtime of `stage` would be handed now. Pure."""
        ...

    def evidence(self, environment: Any, plan: Plan) -> Mapping[str, Evidence]:
        """Return, by key, what the place still has of how stages were run. Raises `Unreachable`."""
        ...

    def examine(self, environment: Any) -> Iterator[Finding]:
        """Yield findings on the place itself, for `doctor`. The store is probed elsewhere."""
        ...


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
