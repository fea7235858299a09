"""From arguments to what every verb works on: specs, plan, store, target."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.cli import output
from c2f_spec.cli.output import tell
from c2f_spec.errors import UsageError
from c2f_spec.language.lock_file import write_pins
from c2f_spec.plan.capabilities import not_implemented
from c2f_spec.plan.compile import (
    Loaded,
    compile_plan,
    load_environment,
    load_variants,
    pin_warnings,
    place_warnings,
    refuse,
    repository,
    store_url,
    unpinned,
    warnings,
)
from c2f_spec.plan.costs import with_measured
from c2f_spec.plan.pins import lacking, staged_copies, unstaged
from c2f_spec.plan.reconcile import annotate
from c2f_spec.store.open import open_store
from c2f_spec.targets.base import State, backend_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.plan.pins import Staged
    from c2f_spec.spec.environment import Environment
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Control, Target


@dataclass(frozen=True, slots=True)
class Work:
    """One call's specs, compiled for one environment."""

    loaded: list[Loaded]
    plan: Plan
    objects: ObjectStore
    target: Target[Any]
    tracking: str | None
    """MLflow tracking URI."""


class Compiled(NamedTuple):
    """One call's specs as a plan, before anything outside of this repository was asked, but what a store has staged."""

    loaded: list[Loaded]
    plan: Plan
    environment: Environment
    root: Path


def open_work(args: Namespace, *, to_run: bool = False) -> Work:
    """What `compile_work` makes, with the store and the target. Raises as it does."""
    loaded, plan, environment, root = compile_work(args, to_run=to_run)
    objects = open_store(store_url(environment, root))
    target = backend_of(environment.kind).open_target(environment, objects, plan)
    return Work(loaded, plan, objects, target, _tracking(environment, root))


def compile_work(args: Namespace, *, to_run: bool = False) -> Compiled:
    """Raises `InvalidSpec` with every problem, `UsageError` if the specs name different environments.

    With `to_run`, what this version does not run is a problem, and told before what the store lacks for it. For a
    cluster the store is not asked: names are pinned in the lock, or it is a problem, or `args.offline` admits it.
    """
    loaded = []
    for spec in args.specs:
        variants = load_variants(Path(spec), args.settings)
        if to_run:
            refuse(variants, lambda item: not_implemented(item.experiment))
        output.warnings(variants)
        loaded += variants
    names = {args.on or item.experiment.environment for item in loaded}
    if len(names) > 1:
        raise UsageError(
            f"the specs name different environments: {', '.join(sorted(names))}", hint="choose one with --on"
        )
    name, root = names.pop(), loaded[0].root
    environment = load_environment(name, root, Path(args.environments) if args.environments else None)
    staged: Staged | None = {}
    if getattr(args, "offline", False):
        staged = None
    elif not environment.requires_pins:
        staged = staged_copies(open_store(store_url(environment, root)), unpinned(loaded))
    plan = compile_plan(loaded, staged, environment, name, args.settings)
    tell(pin_warnings(loaded, staged, environment))
    tell(place_warnings(loaded, environment, name))
    return Compiled(loaded, plan, environment, root)


def annotated(work: Work) -> Plan:
    """The plan with what the store and the target say of it, and what its stages were measured to take."""
    found = annotate(work.plan, work.objects, lambda s: work.target.state(s).state is State.RUNNING)
    return with_measured(found, work.objects)


def refuse_unstaged(work: Work, plan: Plan) -> None:
    """Raises `SpecErrors` at every name whose pinned files a stage would not find. `plan` is annotated."""
    lacks = lacking(work.objects, plan)
    refuse(work.loaded, lambda item: [*unstaged(item.experiment, lacks)])


def warn_unstaged(work: Work, plan: Plan) -> None:
    """The same, told."""
    lacks = lacking(work.objects, plan)
    tell(
        warnings(
            work.loaded,
            lambda item: [p._replace(severity="warning") for p in unstaged(item.experiment, lacks)],
        )
    )


def _tracking(environment: Environment, root: Path) -> str | None:
    """A relative sqlite file starts at the spec's repository, like the store."""
    uri = environment.tracking
    prefix = "sqlite:///"
    if uri is None or not uri.startswith(prefix) or uri.startswith(f"{prefix}/"):
        return uri
    return f"{prefix}{root / uri.removeprefix(prefix)}"


# For verbs that name no spec: the repository of the current folder, its environment, store and lock.


class Here(NamedTuple):
    root: Path
    environment: Environment

    @property
    def store(self) -> str:
        return store_url(self.environment, self.root)

    @property
    def objects(self) -> ObjectStore:
        return open_store(self.store)

    @property
    def lock(self) -> Path:
        return self.root / "specs" / "c2f.lock"

    def pin(self, section: str, pins: Mapping[str, str]) -> None:
        """Write and tell it, where there is a folder for the lock."""
        if self.lock.parent.is_dir():
            write_pins(self.lock, section, dict(pins))
            print(f"pinned in {output.relative(self.lock)}")

    def accept(self, names: Sequence[str]) -> None:
        """Note that the terms of these data sets were accepted, where there is a folder for the lock."""
        if names and self.lock.parent.is_dir():
            write_pins(self.lock, "terms_accepted", dict.fromkeys(names, "true"))
            print(f"terms accepted: {', '.join(names)} ({output.relative(self.lock)})")


def here(args: Namespace) -> Here:
    """By `--on` and `--environments`; without them `local`. Raises `InvalidSpec` for the environment."""
    root = repository(Path.cwd() / "specs")
    folder = Path(args.environments) if args.environments else None
    return Here(root, load_environment(args.on or "local", root, folder))


# From arguments to what the verbs about a running plan work on, and the stages that they name.


class Controlled(NamedTuple):
    """One call's plan, its store and the place where it runs."""

    plan: Plan
    objects: ObjectStore
    control: Control
    spec: str
    """The spec's file with what it was called with, for the next command to type."""


def open_control(args: Namespace) -> Controlled:
    """Raises what compiling raises, and `Unreachable`."""
    compiled = compile_work(args)
    objects = open_store(store_url(compiled.environment, compiled.root))
    return Controlled(
        compiled.plan,
        objects,
        backend_of(compiled.environment.kind).open_control(compiled.environment, objects),
        _again(args),
    )


def _again(args: Namespace) -> str:
    """What the next command has to say to mean the same plan."""
    said = ["--on", args.on] if args.on else []
    return shlex.join([*said, *(word for s in args.settings for word in ("--set", s)), *args.specs])


def stage_of(plan: Plan, word: str) -> Stage:
    """The stage whose name, key or kind starts with `word`. Raises `UsageError` unless there is exactly one."""
    found = [s for s in plan.stages if word in (s.name, s.key)] or [
        s for s in plan.stages if s.name.startswith(word) or s.key.startswith(word)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(s.name for s in (found or plan.stages))
    raise UsageError(
        f"{'no stage' if not found else f'{len(found)} stages'} `{word}`", hint=f"one of {names}"
    )


def chosen(plan: Plan, word: str | None) -> list[Stage]:
    """The stage that is named, or all."""
    return [stage_of(plan, word)] if word else list(plan.stages)
