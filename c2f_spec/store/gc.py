"""Find and remove garbage of a store, from one listing, the reachable keys, and the clock. Garbage is:

- whole stages that are not reachable: record, files, failures, work in progress
- of committed stages: attempts that lost, checkpoints, units and journals, which the record's files replace
- of stages without a commit: files of attempts, which no later attempt reads (it does read checkpoints)
- copies of data sets and models that no lock and no reachable stage names
- leftovers of probes and claims

Preimages, plans, hypotheses, the ledger and reports stay: they are small and explain the rest. Nothing that changed
within `MIN_AGE_SECONDS` is garbage: another process may be writing it.
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
"""Age in seconds below which nothing is garbage. A running stage writes far more often."""
AT_ONCE = 16
"""Objects that are removed in parallel."""
INTERMEDIATE = ("checkpoints", "units", "journal")
"""Folders below the work of a stage that it needs until it is committed."""
TRANSIENT = ("claims", "doctor", "incoming")
"""Prefixes of objects that their writer removes, unless it was killed."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """Objects that are needed, whatever their age."""

    stages: frozenset[str]
    """Keys."""
    copies: frozenset[str]
    """`datasets/<name>/<digest>` and `models/<repository>/<revision>/<digest>`."""


class Garbage(NamedTuple):
    """Objects that are removed together."""

    name: str
    reason: str
    names: tuple[str, ...]
    """Names in the order in which they are removed: a record before the files that it names."""
    size: int
    """Bytes."""
    modified: float
    """Time of the newest object, in seconds since the epoch."""


@dataclass(slots=True)
class _Group:
    names: list[str] = field(default_factory=list)
    size: int = 0
    modified: float = 0.0

    def add(self, item: ObjectInfo) -> None:
        self.names.append(item.name)
        self.size += item.size
        self.modified = max(self.modified, item.modified)


def find_garbage(store: ObjectStore, reachable: Reachable, now: float | None = None) -> list[Garbage]:
    """Return everything that could be removed, the largest first."""
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
        for i in _garbage_of_stage(at, parts, at[1] in committed, winners, reachable)
    ]
    for name, group in others.items():
        if name not in reachable.copies:
            why = (
                "left behind by a killed process"
                if name in TRANSIENT
                else "in no lock and no reachable stage"
            )
            found.append(_item(name, why, [group]))
    return sorted((i for i in found if i.modified < before), key=lambda i: (-i.size, i.name))


def _garbage_of_stage(
    at: tuple[str, str],
    parts: dict[str, _Group],
    committed: bool,
    winners: dict[str, str],
    reachable: Reachable,
) -> Iterator[Garbage]:
    """Yield all of a stage that is not reachable; of a reachable one, what its record has replaced."""
    kind, key = at
    newest = max(group.modified for group in parts.values())
    if key not in reachable.stages:
        ordered = [group for _, group in sorted(parts.items(), key=lambda p: p[0] != "record")]
        what = (
            "no spec, lock or report refers to it"
            if committed
            else "never finished, and nothing refers to it"
        )
        yield _item(f"{kind} {key}", what, ordered)
        return
    for name, group in parts.items():
        head, _, attempt = name.partition("/")
        work = f"{records.work_name(kind, key)}/{name}"
        if head == "attempts" and committed and attempt != winners.get(key):
            yield _item(work, "an attempt that lost: another one committed first", [group])
        elif head == "attempts" and not committed:
            yield _item(work, "an attempt that ended before its commit", [group])._replace(modified=newest)
        elif head in INTERMEDIATE and committed:
            yield _item(work, "the stage is committed", [group])


def _winners(store: ObjectStore, stages: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return key → the attempt that its record names."""
    by_kind: dict[str, list[str]] = {}
    for kind, key in stages:
        by_kind.setdefault(kind, []).append(key)
    return {
        record.key: record.attempt
        for kind, keys in by_kind.items()
        for record in records.read_records(store, kind, keys)
    }


def _part(parts: list[str]) -> str:
    """Return the part of a stage that an object belongs to: `record`, `attempts/<id>`, one of `INTERMEDIATE`, `rest`."""
    if parts[0] == "records":
        return "record"
    if parts[0] == "work" and len(parts) > 4 and parts[3] == "attempts":
        return f"attempts/{parts[4]}"
    return parts[3] if parts[0] == "work" and len(parts) > 4 and parts[3] in INTERMEDIATE else "rest"


def _copy_of(parts: list[str]) -> str:
    """Return the `datasets/<name>/<digest>` or model that an object belongs to, or an empty text."""
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
    """Remove the objects of an item. When killed at any moment, it leaves garbage and nothing that misleads a reader."""
    first, *others = item.names
    store.delete(first)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(store.delete, others))
