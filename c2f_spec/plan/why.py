"""Why a stage would run: what differs from the nearest stage that is done, down to where the difference began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.plan.changes import ABSENT, Change, changes
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.objects import Objects


class Cause(NamedTuple):
    """One leaf, and the stage whose key it is in: the stage that was asked about, or one that it needs."""

    stage: Stage
    old: str
    """Key of the stage that it is compared with."""
    change: Change


def causes(stage: Stage, old: str, plan: Plan, objects: Objects) -> list[Cause]:
    """From the stored stage `old` of the same kind to `stage`. An input that differs is followed to its own leaves."""
    return list(_causes(stage, old, plan, objects, set()))


def _causes(stage: Stage, old: str, plan: Plan, objects: Objects, seen: set[str]) -> Iterator[Cause]:
    before = preimage(objects, stage.kind, old)
    if before is None or stage.key in seen:
        return
    seen.add(stage.key)
    found = changes(before, stage.preimage)
    yield from (Cause(stage, old, c) for c in found if c.part != "inputs")
    for change in found:
        if change.part != "inputs":
            continue
        if ABSENT in (change.old, change.new):
            yield Cause(stage, old, change)
            continue
        inner = plan.stage(change.new)
        if preimage(objects, inner.kind, change.old) is None:
            yield Cause(stage, old, change)
        yield from _causes(inner, change.old, plan, objects, seen)


def preimage(objects: Objects, kind: str, key: str) -> dict[str, Any] | None:
    """What a stored key is the hash of, if it was ever planned here."""
    return records.preimages(objects, kind, [key]).get(key)


def stored_key(objects: Objects, kind: str, word: str) -> str | None:
    """The key of a stored stage of `kind` by its name or the start of its key; nothing unless there is exactly one."""
    start = word.removeprefix(f"{kind}-")
    names = [n.rsplit("/", 1)[1].removesuffix(".json") for n in objects.names(f"preimages/{kind}")]
    found = [name for name in names if name.startswith(start)]
    return found[0] if len(found) == 1 else None
