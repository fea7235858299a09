"""The protocol of a target, and the registry of all kinds.

A `Backend` says what its kind can do and makes the two views of a place: a `Target` runs stages, a `Control` is what
`status`, `logs`, `cancel`, `retry`, `delete` and `shell` see. What the compiler must know of a kind (pins, pools, code)
is on its environment model (`spec/environment.py`), because a plan is compiled without targets.

A new kind, say Slurm, needs:

- `spec/environment.py`: a model `SlurmEnvironment` with the five class variables of `LocalEnvironment`, its branch in
  `environment_model`, and its name in the two unions there
- `targets/slurm.py`: a class with the members of `Backend`, its `Target` and `Control`, and `BACKEND = SlurmBackend()`;
  with `renders_manifests` and `has_driver` false, `apply` runs the loop of `execution/run.py` itself. `targets/local.py`
  is the example
- `TARGETS` below: one line
- `tests/targets/test_targets.py`, which holds every entry to these protocols: the model, and a fixture `slurm_world`

No other module compares `kind` with a name: it asks the environment or the backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from c2f_spec.diagnostics.diagnostic import HealthCheck
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

    def examine(self, environment: Any) -> Iterator[HealthCheck]:
        """Yield findings on the place itself, for `doctor`. The store is probed elsewhere."""
        ...


class Control(Protocol):
    """A place where stages of a plan run, as `status`, `logs`, `cancel`, `retry`, `delete` and `shell` see it."""

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        """Return key → status of the stages that the place knows. The store decides on done and failed."""
        ...

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        """Yield the lines of every attempt, oldest first, below a line that names it; with `follow`, until the stage ends."""
        ...

    def plans_that_need(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        """Return key → names of other running plans that need the stage."""
        ...

    def withdraw(self, plan: Plan) -> None:
        """Stop starting stages of the plan; running ones go on. Not an error if no driver runs it."""
        ...

    def cancel(self, stages: Sequence[Stage], report: Callable[[str], None]) -> None:
        """Let the stages save and stop, and wait for it. `report` is called with each line of progress."""
        ...

    def notify_retry(self, plan: Plan) -> None:
        """Make drivers of plans with these stages refresh: a retry was requested, or a stage was cancelled."""
        ...

    def deletable(self, plan: Plan, excluded: Iterable[str]) -> list[str]:
        """Return the names of what `delete` would remove; stages with a key in `excluded` stay."""
        ...

    def delete(self, plan: Plan, excluded: Iterable[str], report: Callable[[str], None]) -> list[str]:
        """Remove what `deletable` names, wait for it, and return what is left. The store is not touched."""
        ...

    def shell(self, plan: Plan, stage: Stage) -> str:
        """Start a shell in the stage's surroundings for two hours; return the command that enters it."""
        ...


class State(Enum):
    """State of a stage, from its target and the store together."""

    ABSENT = "absent"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self in (State.DONE, State.FAILED)


class Phase(Enum):
    """State of a stage as `status` prints it, finer than the loop needs."""

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
    """A state, with the reason in words."""

    state: State
    detail: str = ""
    phase: Phase | None = None
    """Set where the target knows more than the state."""
    remedy: str = ""
    """What the user can do; empty where waiting is enough."""


Request = TypeVar("Request")


class Target(Protocol, Generic[Request]):
    """A place to run stages."""

    def prepare(self, plan: Plan, stage: Stage) -> Request:
        """Return what would be submitted. Pure; printing it shows all of it."""
        ...

    def has_room(self, stage: Stage, beside: Sequence[Stage]) -> bool:
        """Return whether a stage may be submitted while those `beside` it have not ended."""
        ...

    def submit(self, *requests: Request) -> None:
        """Start stages. Submitting a running or finished stage starts nothing."""
        ...

    def state(self, stage: Stage) -> Status:
        """Return the status of a stage. A record in the store means done, whichever attempt made it."""
        ...

    def logs(self, stage: Stage) -> Iterator[str]:
        """Yield the lines of every attempt, oldest first, with a line that names each attempt."""
        ...

    def cancel(self, stage: Stage) -> None:
        """Let a stage save and stop, and wait for it. Not an error if it already stopped."""
        ...
