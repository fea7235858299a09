"""What moved between a plan that was reviewed and what would run now, in words; nothing if it may run.

A stage that was to run may have been run by somebody, or be running. Nothing may run that the reviewer did not see run.
A plan made `--offline` showed no actions: then its digest is all that was reviewed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.keys import leaves
from c2f_spec.plan.changes import changes, shown, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.plan.model import Plan, Stage

MAY_BECOME = {
    "run": ("run", "follow", "reuse"),
    "follow": ("follow", "reuse"),
    "reuse": ("reuse",),
    "blocked": ("blocked", "reuse"),
    "failed": ("failed", "reuse"),
    "unknown": ("run", "follow", "reuse", "blocked", "failed", "unknown"),
}
"""Action that was reviewed to actions now."""
NOW = {
    "run": "must run now",
    "follow": "is running now",
    "blocked": "is blocked now",
    "failed": "has failed",
    "unknown": "is unknown now",
}


def moved(reviewed: Plan, now: Plan) -> list[str]:
    """A line for each thing that moved."""
    if reviewed.digest == now.digest:
        return [
            f"{old.name} ({old.label}) was shown as `{old.action}` and {NOW[new.action]}{_because(new)}"
            for old in reviewed.stages
            if (new := now.stage(old.key)).action not in MAY_BECOME[old.action]
        ]
    found = [*environment_moves(reviewed, now), *_pins(reviewed, now), *_variants(reviewed, now)]
    return list(dict.fromkeys(found)) or ["the order of its variants or stages"]


def _because(stage: Stage) -> str:
    return f": {stage.reason}" if stage.reason else ""


def environment_moves(old: Plan, new: Plan) -> Iterator[str]:
    """What differs between the places of two plans, leaf by leaf."""
    if old.environment_name != new.environment_name:
        yield f"environment {old.environment_name} -> {new.environment_name}"
        return
    before, after = (leaves(p.environment.model_dump(mode="json")) for p in (old, new))
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield f"environment `{new.environment_name}`: {path} {shown(before.get(path))} -> {shown(after.get(path))}"


def _pins(old: Plan, new: Plan) -> Iterator[str]:
    for section in dict.fromkeys((*old.lock, *new.lock)):
        before, after = old.lock.get(section, {}), new.lock.get(section, {})
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                a, b = (pins.get(name, "none")[:10] for pins in (before, after))
                yield f"c2f.lock: {section}: {name} {a} -> {b}"


def _variants(old: Plan, new: Plan) -> Iterator[str]:
    before, after = ({v.name: v for v in p.variants} for p in (old, new))
    yield from (f"the variant `{name}` is new" for name in after if name not in before)
    yield from (f"the variant `{name}` is gone" for name in before if name not in after)
    for name in before.keys() & after.keys():
        mine = {s.label: s for s in map(old.stage, before[name].stages)}
        theirs = {s.label: s for s in map(new.stage, after[name].stages)}
        yield from (f"{label} is new in `{name}`" for label in theirs if label not in mine)
        yield from (f"{label} is gone from `{name}`" for label in mine if label not in theirs)
        for label in mine.keys() & theirs.keys():
            yield from _stage(mine[label], theirs[label], new)


def _stage(old: Stage, new: Stage, plan: Plan) -> Iterator[str]:
    if old.key != new.key:
        own = [c for c in changes(old.preimage, new.preimage) if c.part != "inputs"]
        if own:  # else it follows from a stage above, which is told
            yield f"{new.label}: {told(own, plan.name_of)}"
    elif old.placement != new.placement:
        differ = [
            f"{n} {v} -> {getattr(new.placement, n)}"
            for n, v in old.placement
            if v != getattr(new.placement, n)
        ]
        yield f"{new.label} is placed otherwise: {', '.join(differ)}"
