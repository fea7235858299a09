"""From arguments to what the verbs about a running plan work on, and the stages that they name."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.cli.work import compile_work
from c2f_spec.errors import WrongUsage
from c2f_spec.plan.compile import store_url
from c2f_spec.store.objects import open_objects
from c2f_spec.targets.local import Local
from c2f_spec.targets.local_control import LocalControl

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.environment import Environment
    from c2f_spec.store.objects import Objects
    from c2f_spec.targets.control import Control


class Controlled(NamedTuple):
    """One call's plan, its store and the place where it runs."""

    plan: Plan
    objects: Objects
    control: Control
    spec: str
    """The spec's file with what it was called with, for the next command to type."""


def open_control(args: Namespace) -> Controlled:
    """Raises what compiling raises, and `Unreachable`."""
    compiled = compile_work(args)
    objects = open_objects(store_url(compiled.environment, compiled.root))
    return Controlled(compiled.plan, objects, control_of(compiled.environment, objects), _again(args))


def _again(args: Namespace) -> str:
    """What the next command has to say to mean the same plan."""
    said = ["--on", args.on] if args.on else []
    return shlex.join([*said, *(word for s in args.settings for word in ("--set", s)), *args.specs])


def control_of(environment: Environment, objects: Objects) -> Control:
    """The place of an environment. Raises `Unreachable` if there is no way into a cluster."""
    if environment.kind == "local":
        return LocalControl(Local(objects, slots=environment.parallel))
    from c2f_spec.targets.kubernetes.access import find_access
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.control import Cluster

    return Cluster(Client(find_access(), namespace=environment.namespace), objects, environment)


def stage_of(plan: Plan, word: str) -> Stage:
    """The stage whose name, key or kind starts with `word`. Raises `WrongUsage` unless there is exactly one."""
    found = [s for s in plan.stages if word in (s.name, s.key)] or [
        s for s in plan.stages if s.name.startswith(word) or s.key.startswith(word)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(s.name for s in (found or plan.stages))
    raise WrongUsage(
        f"{'no stage' if not found else f'{len(found)} stages'} `{word}`", hint=f"one of {names}"
    )


def chosen(plan: Plan, word: str | None) -> list[Stage]:
    """The stage that is named, or all."""
    return [stage_of(plan, word)] if word else list(plan.stages)
