"""What will happen, in order. Pure data; `build.py` makes it, `annotate.py` adds the actions, `saved.py` reads it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.cost.model import NOTHING, UNLOADED, GpuHours, Load
from c2f_spec.keys import content_key
from c2f_spec.spec.planfile import VERSION, Asked

if TYPE_CHECKING:
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.handoff import Placement
    from c2f_spec.spec.origin import Origin

Action = Literal["run", "reuse", "follow", "blocked", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One instance of a stage kind, shared by every variant that needs exactly it."""

    key: str
    kind: str
    inputs: dict[str, str]
    """Role to key."""
    preimage: dict[str, Any]
    """What `key` is the hash of."""
    label: str
    """Says in words which instance this is, for people: `evaluate grpo on icwsm2014-nyt`."""
    placement: Placement
    variants: tuple[str, ...] = ()
    code: str = ""
    """Digest of the bundle of code that it runs with; in no key, since a key holds the code that it can reach."""
    action: Action = "unknown"
    reason: str = ""
    gpu_hours: GpuHours = NOTHING
    load: Load = UNLOADED

    @property
    def name(self) -> str:
        """Short, unique within a plan, and good as an argument on the command line."""
        return f"{self.kind}-{self.key[:10]}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One experiment of the plan."""

    name: str
    source: str
    """The resolved spec as YAML text."""
    stages: tuple[str, ...]
    """Keys, in an order in which they can run."""
    file: str = ""
    """The spec file that it comes from."""
    given: Experiment | None = field(default=None, repr=False, compare=False)

    @property
    def experiment(self) -> Experiment:
        """The resolved spec as a model; of a plan that was read back it is parsed when somebody asks."""
        return self.given or _parsed(self.source, self.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in an order in which they can run, and the variants that need them."""

    name: str
    environment: Environment
    environment_name: str
    variants: tuple[Variant, ...]
    stages: tuple[Stage, ...]
    lock: dict[str, dict[str, str]] = field(default_factory=dict)
    """What names stood for: pins by section and name."""
    asked: Asked = field(default_factory=lambda: Asked(specs=()))
    """The call that made it, so that it can be made again."""
    origin: Origin | None = None
    """The tree that it is launched from; a plan that is only looked at has none."""
    _by_key: dict[str, Stage] = field(default_factory=dict, repr=False, compare=False)
    _digest: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    """Of this plan and no other: `replace` makes a new list."""

    def __post_init__(self) -> None:
        self._by_key.update({s.key: s for s in self.stages})

    def stage(self, key: str) -> Stage:
        return self._by_key[key]

    def name_of(self, key: str) -> str:
        """Of any stage's key, also of one that is not of this plan."""
        return self._by_key[key].name if key in self._by_key else key[:10]

    @property
    def folder(self) -> str:
        """Its name as part of a path."""
        return self.name.replace(" ", "-")

    @property
    def digest(self) -> str:
        """Of variants, keys, edges, place and lock, and not of the actions, nor of what only estimates use.

        The tree counts where it was not as committed: results of a clean launch must not be taken for those of another.
        """
        if not self._digest:
            self._digest.append(content_key(self._digested()))
        return self._digest[0]

    def _digested(self) -> dict[str, Any]:
        return {
            **({"patch": self.origin.patch} if self.origin and self.origin.patch else {}),
            "format_version": VERSION,
            "environment": [self.environment_name, _place(self.environment.model_dump(mode="json"))],
            "lock": self.lock,
            "variants": [[v.name, list(v.stages)] for v in self.variants],
            "stages": [[s.key, s.inputs, s.placement.model_dump(mode="json")] for s in self.stages],
        }

    def totals(self) -> dict[str, Any]:
        """Counts that a reviewer wants first."""
        return {
            "variants": len(self.variants),
            "instances": sum(len(v.stages) for v in self.variants),
            "unique": len(self.stages),
            "stored": sum(s.action == "reuse" for s in self.stages),
            "to_run": sum(s.action == "run" for s in self.stages),
        }


def _place(environment: Any) -> Any:
    """What decides where and how stages run; better coefficients or another price make no plan stale."""
    if not isinstance(environment, dict):
        return environment
    return {k: _place(v) for k, v in environment.items() if k not in ("coefficients", "policy")}


@cache
def _parsed(source: str, name: str) -> Experiment:
    from c2f_spec.document import load
    from c2f_spec.parse.experiment import parse

    return parse(load(source.encode(), f"spec of {name}"))[0]
