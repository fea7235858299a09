"""A part of a plan: the stages of one kind and what they need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.plan.model import Plan, Stage


def until(plan: Plan, kind: str) -> Plan:
    """`plan` up to the stages of `kind`. Raises `WrongUsage` if it has none of them."""
    kinds = list(dict.fromkeys(s.kind for s in plan.stages))
    if kind not in kinds:
        raise WrongUsage(f"the plan has no stage of kind `{kind}`", hint=f"it has {', '.join(kinds)}")
    wanted = needed(plan.stage, (s.key for s in plan.stages if s.kind == kind))
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
        asked=plan.asked.model_copy(update={"until": kind}),
        _by_key={},
    )


def needed(stage: Callable[[str], Stage], keys: Iterable[str]) -> set[str]:
    """`keys` and all that they need, directly or not; `stage` gives the stage of a key."""
    found: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += stage(key).inputs.values()
    return found


def following(plan: Plan, keys: Iterable[str]) -> set[str]:
    """`keys` and all that needs them, directly or not."""
    found = set(keys)
    for stage in plan.stages:  # inputs come first
        if found & set(stage.inputs.values()):
            found.add(stage.key)
    return found
