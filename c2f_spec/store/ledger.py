"""The ledger: who used how many GPU-hours, and what for. Entries are added and never changed.

ledger/<yyyy-mm>/<kind>-<key>-<attempt>.json
work/<kind>/<key>/account.json    whose hours a stage's next attempts are: the last one who launched it. Advisory: the
                                  stage's Job is the same for whoever launches it, so it cannot carry this itself
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pydantic import ValidationError

from c2f_spec.errors import Unreachable
from c2f_spec.spec.ledger import Account, Entry
from c2f_spec.store.records import work_name
from c2f_spec.store.sealed import read_all_sealed, read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from c2f_spec.store.objects import Objects

WAY_OUT = "restore it from a copy of the store, or remove it: its hours are then not counted"
AT_ONCE = 32
"""Requests that wait for a store at the same time."""


def charge(objects: Objects, accounts: Mapping[tuple[str, str], Account]) -> None:
    """Say, by kind and key, whose hours the next attempts at some stages are."""
    texts = {
        _account_name(*stage): seal(account.model_dump(mode="json")) for stage, account in accounts.items()
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: objects.replace(name, texts[name]), texts))


def account(objects: Objects, kind: str, key: str) -> Account | None:
    """Whose hours an attempt is that begins now; nobody's, if it was not launched by `apply` or the driver."""
    value = read_sealed(objects, _account_name(kind, key), "remove it: the hours are then nobody's")
    return Account.model_validate(value) if value is not None else None


def _account_name(kind: str, key: str) -> str:
    return f"{work_name(kind, key)}/account.json"


def add(objects: Objects, entry: Entry) -> bool:
    """Write an entry; false if this attempt has one."""
    name = f"ledger/{entry.started[:7]}/{entry.kind}-{entry.key}-{entry.attempt}.json"
    return objects.create(name, seal(entry.model_dump(mode="json")))


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
    for name, value in read_all_sealed(objects, names, WAY_OUT).items():
        try:
            found.append(Entry.model_validate(value))
        except ValidationError as error:
            raise Unreachable(
                f"another version of c2f-spec wrote the entry {name} of the ledger in {objects.url}",
                hint=WAY_OUT,
            ) from error
    return sorted(found, key=lambda entry: (entry.started, entry.attempt))
