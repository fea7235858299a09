"""The ledger: who used how many GPU-hours, and what for. Entries are added and never changed.

ledger/<yyyy-mm>/<kind>-<key>-<attempt>[-<process>].json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from c2f_spec.errors import Unreachable
from c2f_spec.spec.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from c2f_spec.store.objects import Objects


def add(objects: Objects, entry: Entry, process: str = "") -> bool:
    """Write an entry; false if this attempt has one."""
    end = f"-{process}" if process else ""
    name = f"ledger/{entry.started[:7]}/{entry.kind}-{entry.key}-{entry.attempt}{end}.json"
    return objects.create(name, entry.model_dump_json(indent=1).encode())


def read(objects: Objects, months: Iterable[str] | None = None) -> list[Entry]:
    """The entries of some months (`2026-11`), or all, in the order in which their attempts began.

    One listing a month and the contents side by side. Raises `Unreachable` naming an entry that is damaged.
    """
    prefixes = ["ledger"] if months is None else [f"ledger/{month}" for month in months]
    return _read(objects, [name for prefix in prefixes for name in objects.names(prefix)])


def sample(objects: Objects, kinds: Collection[str], keys: Collection[str], most: int) -> list[Entry]:
    """Entries of the stages `keys`, and `most` others of each of `kinds`, of the newest months. Raises as `read` does."""
    wanted: list[str] = []
    others = dict.fromkeys(kinds, 0)
    for name in sorted(objects.names("ledger"), reverse=True):
        kind, key, *_ = name.rsplit("/", 1)[1].split("-")
        if key in keys:
            wanted.append(name)
        elif others.get(kind, most) < most:
            others[kind] += 1
            wanted.append(name)
    return _read(objects, wanted)


def _read(objects: Objects, names: list[str]) -> list[Entry]:
    found = []
    for name, data in objects.read_many(names).items():
        try:
            found.append(Entry.model_validate_json(data))
        except ValidationError as error:
            raise Unreachable(
                f"the entry {name} of the ledger in {objects.url} is damaged",
                hint="restore it from a copy of the store, or remove it: its hours are then not counted",
            ) from error
    return sorted(found, key=lambda entry: (entry.started, entry.attempt))
