"""What will happen, in order. Pure data; `build.py` makes it and `annotate.py` adds the actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.keys import content_key

if TYPE_CHECKING:
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.handoff import Placement

FORMAT_VERSION = 1
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
    action: Action = "unknown"
    reason: str = ""

    @property
    def name(self) -> str:
        """Short, unique within a plan, and good as an argument on the command line."""
        return f"{self.kind}-{self.key[:10]}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One experiment of the plan."""

    name: str
    experiment: Experiment
    source: str
    """The resolved spec as YAML text."""
    stages: tuple[str, ...]
    """Keys, in an order in which they can run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in an order in which they can run, and the variants that need them."""

    name: str
    environment: Environment
    environment_name: str
    variants: tuple[Variant, ...]
    stages: tuple[Stage, ...]
    _by_key: dict[str, Stage] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_key.update({s.key: s for s in self.stages})

    def stage(self, key: str) -> Stage:
        return self._by_key[key]

    @property
    def folder(self) -> str:
        """Its name as part of a path."""
        return self.name.replace(" ", "-")

    @property
    def digest(self) -> str:
        """Of variants, keys, edges and placement, and not of the actions."""
        return content_key(
            {
                "format_version": FORMAT_VERSION,
                "environment": self.environment.model_dump(mode="json"),
                "variants": [[v.name, list(v.stages)] for v in self.variants],
                "stages": [[s.key, s.inputs, s.placement.model_dump(mode="json")] for s in self.stages],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """`plan.json` (DESIGN: "Stages, keys, plan")."""
        return {
            "format_version": FORMAT_VERSION,
            "digest": self.digest,
            "name": self.name,
            "environment": {"name": self.environment_name, **self.environment.model_dump(mode="json")},
            "variants": [{"name": v.name, "spec": v.source, "stages": list(v.stages)} for v in self.variants],
            "stages": [
                {
                    "key": s.key,
                    "kind": s.kind,
                    "name": s.name,
                    "label": s.label,
                    "variants": list(s.variants),
                    "inputs": s.inputs,
                    "preimage": s.preimage,
                    "placement": s.placement.model_dump(mode="json"),
                    "action": s.action,
                    "reason": s.reason,
                }
                for s in self.stages
            ],
            "totals": self.totals(),
        }

    def totals(self) -> dict[str, int]:
        """Counts that a reviewer wants first."""
        return {
            "variants": len(self.variants),
            "instances": sum(len(v.stages) for v in self.variants),
            "unique": len(self.stages),
            "stored": sum(s.action == "reuse" for s in self.stages),
            "to_run": sum(s.action == "run" for s in self.stages),
        }
