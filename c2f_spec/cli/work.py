"""From arguments to what every verb works on: specs, plan, store, target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.cli import show
from c2f_spec.cli.tell import tell
from c2f_spec.errors import WrongUsage
from c2f_spec.plan.annotate import annotate
from c2f_spec.plan.compile import (
    Loaded,
    compile_plan,
    load_environment,
    load_variants,
    pin_warnings,
    place_warnings,
    refuse,
    store_url,
    unpinned,
    warnings,
)
from c2f_spec.plan.measured import with_measured
from c2f_spec.plan.refusals import not_implemented
from c2f_spec.plan.staged import lacking, staged_copies, unstaged
from c2f_spec.store.objects import Objects, open_objects
from c2f_spec.targets.base import State
from c2f_spec.targets.local import Local

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan
    from c2f_spec.plan.pins import Staged
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.spec.environment import Environment
    from c2f_spec.targets.base import Target


@dataclass(frozen=True, slots=True)
class Work:
    """One call's specs, compiled for one environment."""

    loaded: list[Loaded]
    plan: Plan
    objects: Objects
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
    objects = open_objects(store_url(environment, root))
    target: Target[Any]
    if environment.kind == "local":
        target = Local(objects, slots=environment.parallel)
    else:
        target = _cluster(environment, objects, plan)
    return Work(loaded, plan, objects, target, _tracking(environment, root))


def _cluster(environment: KubernetesEnvironment, objects: Objects, plan: Plan) -> Target[Any]:
    """One look at a cluster and its store. Raises `Unreachable`."""
    from c2f_spec.targets.kubernetes.access import find_access
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.target import Kubernetes

    target = Kubernetes(objects, Client(find_access(), namespace=environment.namespace), plan)
    target.glance()
    return target


def compile_work(args: Namespace, *, to_run: bool = False) -> Compiled:
    """Raises `SpecInvalid` with every problem, `WrongUsage` if the specs name different environments.

    With `to_run`, what this version does not run is a problem, and told before what the store lacks for it. For a
    cluster the store is not asked: names are pinned in the lock, or it is a problem, or `args.offline` admits it.
    """
    loaded = []
    for spec in args.specs:
        variants = load_variants(Path(spec), args.settings)
        if to_run:
            refuse(variants, lambda item: not_implemented(item.experiment))
        show.warnings(variants)
        loaded += variants
    names = {args.on or item.experiment.environment for item in loaded}
    if len(names) > 1:
        raise WrongUsage(
            f"the specs name different environments: {', '.join(sorted(names))}", hint="choose one with --on"
        )
    name, root = names.pop(), loaded[0].root
    environment = load_environment(name, root, Path(args.environments) if args.environments else None)
    staged: Staged | None = {}
    if getattr(args, "offline", False):
        staged = None
    elif environment.kind == "local":
        staged = staged_copies(open_objects(store_url(environment, root)), unpinned(loaded))
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
