"""The plan and its stages as data, and parts of a plan. `keys.py` makes it, `reconcile.py` adds the actions, `plan_file.py` reads it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.cost.gpu_hours import NOTHING, UNLOADED, GpuHours, Load
from c2f_spec.errors import UsageError
from c2f_spec.keys import content_key
from c2f_spec.spec.plan_json import VERSION, Origin, PlanRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.handoff import Placement


Action = Literal["run", "reuse", "follow", "blocked", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One instance of a stage kind, shared by every variant that needs exactly it."""

    key: str
    kind: str
    inputs: dict[str, str]
    """Role to key."""
    preimage: dict[str, Any]
    """The value that `key` is the hash of."""
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
    parsed: Experiment | None = field(default=None, repr=False, compare=False)

    @property
    def experiment(self) -> Experiment:
        """Return the resolved spec as a model; that of a plan from a file is parsed on first use."""
        return self.parsed or _parsed(self.source, self.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in an order in which they can run, and the variants that need them."""

    name: str
    environment: Environment
    environment_name: str
    variants: tuple[Variant, ...]
    stages: tuple[Stage, ...]
    lock: dict[str, dict[str, str]] = field(default_factory=dict)
    """The pins that names stand for, by section and name."""
    request: PlanRequest = field(default_factory=lambda: PlanRequest(specs=()))
    """The call that made it, so that it can be made again."""
    origin: Origin | None = None
    """The tree that it is launched from; a plan that is only looked at has none."""
    _by_key: dict[str, Stage] = field(default_factory=dict, init=False, repr=False, compare=False)
    _digest: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    """The digest once it is computed; `replace` makes a new list."""

    def __post_init__(self) -> None:
        self._by_key.update({s.key: s for s in self.stages})

    def stage(self, key: str) -> Stage:
        return self._by_key[key]

    def name_of(self, key: str) -> str:
        """Return the name of a stage by its key; of a stage outside this plan, the start of the key."""
        return self._by_key[key].name if key in self._by_key else key[:10]

    @property
    def folder(self) -> str:
        """Return the name of the plan as part of a path."""
        return self.name.replace(" ", "-")

    @property
    def digest(self) -> str:
        """Return the digest of variants, keys, edges, place and lock; actions and estimates are left out.

        The tree counts where it was not as committed: results of a clean launch must not be taken for those of another.
        """
        if not self._digest:
            self._digest.append(content_key(self._digest_content()))
        return self._digest[0]

    def _digest_content(self) -> dict[str, Any]:
        return {
            **({"patch": self.origin.patch} if self.origin and self.origin.patch else {}),
            "format_version": VERSION,
            "environment": [
                self.environment_name,
                _without_estimates(self.environment.model_dump(mode="json")),
            ],
            "lock": self.lock,
            "variants": [[v.name, list(v.stages)] for v in self.variants],
            "stages": [[s.key, s.inputs, s.placement.model_dump(mode="json")] for s in self.stages],
        }

    def totals(self) -> dict[str, Any]:
        """Return counts of variants and stages by action."""
        return {
            "variants": len(self.variants),
            "instances": sum(len(v.stages) for v in self.variants),
            "unique": len(self.stages),
            "stored": sum(s.action == "reuse" for s in self.stages),
            "to_run": sum(s.action == "run" for s in self.stages),
        }


def _without_estimates(environment: Any) -> Any:
    """Return an environment without coefficients and policy: better estimates or another price make no plan stale."""
    if not isinstance(environment, dict):
        return environment
    return {k: _without_estimates(v) for k, v in environment.items() if k not in ("coefficients", "policy")}


@cache
def _parsed(source: str, name: str) -> Experiment:
    from c2f_spec.language.document import load_document
    from c2f_spec.language.parse import parse

    return parse(load_document(source.encode(), f"spec of {name}"))[0]


# A part of a plan: the stages of one kind and what they need.


def plan_until(plan: Plan, kind: str) -> Plan:
    """Return `plan` up to the stages of `kind`. Raises `UsageError` if it has none of them."""
    kinds = list(dict.fromkeys(s.kind for s in plan.stages))
    if kind not in kinds:
        raise UsageError(f"the plan has no stage of kind `{kind}`", hint=f"it has {', '.join(kinds)}")
    wanted = with_inputs(plan.stage, (s.key for s in plan.stages if s.kind == kind))
    variants = tuple(
        replace(v, stages=keys) for v in plan.variants if (keys := tuple(k for k in v.stages if k in wanted))
    )
    named = {v.name for v in variants}
    stages = tuple(
        replace(s, variants=tuple(n for n in s.variants if n in named))
        for s in plan.stages
        if s.key in wanted
    )
    return replace(
        plan,
        variants=variants,
        stages=stages,
        request=plan.request.model_copy(update={"until": kind}),
    )


def with_inputs(stage: Callable[[str], Stage], keys: Iterable[str]) -> set[str]:
    """Return `keys` and all that they need, directly or not; `stage` returns the stage of a key."""
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += stage(key).inputs.values()
    return found


def with_dependents(plan: Plan, keys: Iterable[str]) -> set[str]:
    """Return `keys` and all that need them, directly or not."""
    found = set(keys)
    for stage in plan.stages:  # inputs come first
        if found & set(stage.inputs.values()):
            found.add(stage.key)
    return found


ORIGIN_VARIABLE = "C2F_ORIGIN"
"""Tells a stage the digest of the origin that launched it."""


def origin_digest(origin: Origin) -> str:
    """Return the digest of the origin of a launch, which its stages record."""
    return content_key(origin.model_dump(mode="json"))
