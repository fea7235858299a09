"""What of a store nobody needs any more: found from one listing, the keys that are needed, and the clock.

- whole stages that nothing reaches: record, files, failures, the work in progress that is left of it
- of committed stages: attempts that lost, checkpoints, units and journals, which the record's files replace
- of stages that were never committed: attempts, which no later attempt reads (checkpoints it does)
- copies of data sets and models that no lock and no reached stage names
- what probes and locks left

Preimages, plans, hypotheses, the ledger and reports stay: they are small, and they are what explains the rest. Nothing
that changed within `HOUR` is garbage, however unreachable: somebody may be writing it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from c2f_spec.store.protocol import ObjectInfo, ObjectStore

MIN_AGE_SECONDS = 3600.0
"""Seconds. A running stage tells of itself far more often."""
AT_ONCE = 16
"""Objects that are removed side by side."""
INTERMEDIATE = ("checkpoints", "units", "journal")
"""Below the work of a stage: what it needs until it is committed."""
TRANSIENT = ("claims", "doctor", "incoming")
"""Prefixes of what is taken away by who made it, unless it was killed."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """What must stay, whatever its age."""

    stages: frozenset[str]
    """Keys."""
    copies: frozenset[str]
    """`datasets/<name>/<digest>` and `models/<repository>/<revision>/<digest>`."""


class Garbage(NamedTuple):
    """Objects that go together, by what their names begin with."""

    name: str
    reason: str
    names: tuple[str, ...]
    """In the order in which they are removed: a record before the files that it names."""
    size: int
    """Bytes."""
    modified: float
    """The newest of them, in seconds since the epoch."""


@dataclass(slots=True)
class _Group:
    names: list[str] = field(default_factory=list)
    size: int = 0
    modified: float = 0.0

    def add(self, item: ObjectInfo) -> None:
        self.names.append(item.name)
        self.size += item.size
        self.modified = max(self.modified, item.modified)


def find_garbage(store: ObjectStore, reached: Reachable, now: float | None = None) -> list[Garbage]:
    """Everything that could go, the largest first."""
    listed = list(store.listing(""))
    before = (time.time() if now is None else now) - MIN_AGE_SECONDS
    committed = {
        parts[2].removesuffix(".json") for i in listed if (parts := i.name.split("/"))[0] == "records"
    }
    stages: dict[tuple[str, str], dict[str, _Group]] = {}
    others: dict[str, _Group] = {}
    for item in listed:
        parts = item.name.split("/")
        if parts[0] in ("records", "failures", "retries", "work") and len(parts) > 2:
            at = (parts[1], parts[2].removesuffix(".json"))
            stages.setdefault(at, {}).setdefault(_part(parts), _Group()).add(item)
        elif name := _copy_of(parts) or (parts[0] if parts[0] in TRANSIENT else ""):
            others.setdefault(name, _Group()).add(item)
    winners = _winners(store, [at for at in stages if at[1] in committed])
    found = [
        i
        for at, parts in stages.items()
        for i in _garbage_of_stage(at, parts, at[1] in committed, winners, reached)
    ]
    for name, group in others.items():
        if name not in reached.copies:
            why = "left behind" if name in TRANSIENT else "in no lock and no reached stage"
            found.append(_item(name, why, [group]))
    return sorted((i for i in found if i.modified < before), key=lambda i: (-i.size, i.name))


def _garbage_of_stage(
    at: tuple[str, str],
    parts: dict[str, _Group],
    committed: bool,
    winners: dict[str, str],
    reached: Reachable,
) -> Iterator[Garbage]:
    """All of a stage that nothing reaches; of one that is reached, what its record has replaced."""
    kind, key = at
    newest = max(group.modified for group in parts.values())
    if key not in reached.stages:
        ordered = [group for _, group in sorted(parts.items(), key=lambda p: p[0] != "record")]
        what = "no spec, lock or report reaches it" if committed else "never finished, and nothing reaches it"
        yield _item(f"{kind} {key}", what, ordered)
        return
    for name, group in parts.items():
        head, _, attempt = name.partition("/")
        work = f"{records.work_name(kind, key)}/{name}"
        if head == "attempts" and committed and attempt != winners.get(key):
            yield _item(work, "an attempt that another one was faster than", [group])
        elif head == "attempts" and not committed:
            yield _item(work, "an attempt that ended before its commit", [group])._replace(modified=newest)
        elif head in INTERMEDIATE and committed:
            yield _item(work, "the stage is committed", [group])


def _winners(store: ObjectStore, stages: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The attempt that each record names, by key."""
    by_kind: dict[str, list[str]] = {}
    for kind, key in stages:
        by_kind.setdefault(kind, []).append(key)
    return {
        record.key: record.attempt
        for kind, keys in by_kind.items()
        for record in records.read_records(store, kind, keys)
    }


def _part(parts: list[str]) -> str:
    """Which part of a stage an object is of: `record`, `attempts/<id>`, one of `ON_THE_WAY`, or the rest."""
    if parts[0] == "records":
        return "record"
    if parts[0] == "work" and len(parts) > 4 and parts[3] == "attempts":
        return f"attempts/{parts[4]}"
    return parts[3] if parts[0] == "work" and len(parts) > 4 and parts[3] in INTERMEDIATE else "rest"


def _copy_of(parts: list[str]) -> str:
    """`datasets/<name>/<digest>` of an object in it; nothing for others."""
    if parts[0] == "datasets" and len(parts) > 3:
        return "/".join(parts[:3])
    if parts[0] == "models" and "files" in parts[3:]:
        return "/".join(parts[: parts.index("files", 3)])
    return "/".join(parts[:-1]) if parts[0] == "models" and parts[-1] == "model.json" else ""


def _item(name: str, why: str, groups: Iterable[_Group]) -> Garbage:
    parts = list(groups)
    names = tuple(n for group in parts for n in group.names)
    return Garbage(name, why, names, sum(g.size for g in parts), max(g.modified for g in parts))


def remove(store: ObjectStore, item: Garbage) -> None:
    """Every object of an item. Killed at any moment, it leaves garbage and nothing that misleads a reader."""
    first, *others = item.names
    store.delete(first)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(store.delete, others))
