"""The ledger: who used how many GPU-hours, and for what. Entries are added and never changed.

    ledger/<yyyy-mm>/<kind>-<key>-<attempt>.json    one entry an attempt
    work/<kind>/<key>/account.json                  the account of the stage's next attempts: of whoever launched it last.
                                                    Advisory; a Job is the same for every launcher and cannot carry it

The second half sums entries by user, project or month. After an attempt, what came after its last checkpoint is done again
unless its result counts; what a stage of the same key had saved is kept by the attempt that resumes from it. So hours are

- used: by results that count, and up to the last checkpoint of stages that can resume from it
- failed: by attempts that ended for good, beyond what a later attempt could keep
- redone: by attempts that were stopped, beyond their last checkpoint, and by results that came second
- waiting: GPUs were allocated and work had not begun: start of processes, downloads, loading of weights
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import Account, Entry
from c2f_spec.store.digest import read_all_sealed, read_sealed, seal
from c2f_spec.store.records import work_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from c2f_spec.store.protocol import ObjectStore


REMEDY = "restore it from a copy of the store, or remove it: its hours are then not counted"
AT_ONCE = 32
"""Parallel requests to the store."""


def charge(store: ObjectStore, accounts: Mapping[tuple[str, str], Account]) -> None:
    """Write the account of the next attempts of stages, by kind and key."""
    texts = {
        _account_name(*stage): seal(account.model_dump(mode="json")) for stage, account in accounts.items()
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: store.replace(name, texts[name]), texts))


def read_account(store: ObjectStore, kind: str, key: str) -> Account | None:
    """Return the account of an attempt that begins now, or `None` if it was not launched by `apply` or the driver."""
    value = read_sealed(store, _account_name(kind, key), "remove it: the hours are then on no account")
    return Account.model_validate(value) if value is not None else None


def _account_name(kind: str, key: str) -> str:
    return f"{work_name(kind, key)}/account.json"


def add(store: ObjectStore, entry: Entry) -> bool:
    """Write an entry; return false if the attempt has another one."""
    name = f"ledger/{entry.started[:7]}/{entry.kind}-{entry.key}-{entry.attempt}.json"
    return store.create(name, seal(entry.model_dump(mode="json")))


def read(store: ObjectStore, months: Iterable[str] | None = None) -> list[Entry]:
    """Return the entries of some months (`2026-11`), or all, in the order in which their attempts began.

    Costs one listing a month and parallel reads. Raises `Unreachable` naming an entry that is damaged.
    """
    prefixes = ["ledger"] if months is None else [f"ledger/{month}" for month in months]
    return _read(store, [name for prefix in prefixes for name in store.names(prefix)])


def read_sample(store: ObjectStore, kinds: Collection[str], keys: Collection[str], most: int) -> list[Entry]:
    """Return the entries of the stages `keys` and the newest `most` others of each of `kinds`. Raises as `read` does."""
    wanted: list[str] = []
    others = dict.fromkeys(kinds, 0)
    for name in sorted(store.names("ledger"), reverse=True):
        kind, key, *_ = name.rsplit("/", 1)[1].split("-")
        if key in keys:
            wanted.append(name)
        elif others.get(kind, most) < most:
            others[kind] += 1
            wanted.append(name)
    return _read(store, wanted)


def _read(store: ObjectStore, names: list[str]) -> list[Entry]:
    entries = []
    for name, value in read_all_sealed(store, names, REMEDY).items():
        try:
            entries.append(Entry.model_validate(value))
        except ValidationError as error:
            raise Unreachable(
                f"another version of c2f-spec wrote the entry {name} of the ledger in {store.url}",
                hint=REMEDY,
            ) from error
    return sorted(entries, key=lambda entry: (entry.started, entry.attempt))


By = Literal["user", "project", "month"]
GROUP_BY: dict[str, Callable[[Entry], str]] = {
    "user": lambda e: e.account.user,
    "project": lambda e: e.account.project,
    "month": lambda e: e.started[:7],
}


@dataclass(slots=True)
class HourTotals:
    """Totals over attempts."""

    stages: int = 0
    """Results that were committed."""
    attempts: int = 0
    hours: float = 0.0
    """Hours of processes, with or without GPUs; all further fields are GPU-hours but `price`."""
    used: float = 0.0
    failed: float = 0.0
    redone: float = 0.0
    waiting: float = 0.0
    price: float = 0.0

    @property
    def gpu_hours(self) -> float:
        return self.used + self.wasted

    @property
    def wasted(self) -> float:
        return self.failed + self.redone + self.waiting

    def to_json(self) -> dict[str, Any]:
        names = ("stages", "attempts", "hours", "gpu_hours", "used", "failed", "redone", "waiting", "price")
        return {name: round(getattr(self, name), 4) for name in names}


def sum_hours(entries: Iterable[Entry], by: By, prices: Mapping[str, float]) -> dict[str, HourTotals]:
    """Return the totals of each user, project or month. `prices` of a GPU-hour are by pool; other pools cost nothing."""
    totals: dict[str, HourTotals] = {}
    entries = list(entries)
    committed = {e.key for e in entries if e.committed}
    for entry in entries:
        at = totals.setdefault(GROUP_BY[by](entry), HourTotals())
        used, failed, redone, waiting = split_hours(entry, done=entry.key in committed)
        at.stages += entry.committed
        at.attempts += 1
        at.hours += entry.seconds / 3600
        at.used += used
        at.failed += failed
        at.redone += redone
        at.waiting += waiting
        at.price += gpu_hours(entry) * prices.get(entry.account.pool, 0.0)
    return dict(sorted(totals.items()))


def gpu_hours(entry: Entry) -> float:
    return entry.gpus * entry.seconds / 3600


def split_hours(entry: Entry, *, done: bool) -> tuple[float, float, float, float]:
    """Return GPU-hours used, failed, redone and waiting of an attempt; `done`: an attempt of its stage has committed."""
    hours = gpu_hours(entry)
    if entry.code == StageExit.DONE:
        waiting = entry.gpus * min(entry.waited, entry.seconds) / 3600
        rest = hours - waiting
        return (rest, 0.0, 0.0, waiting) if entry.committed else (0.0, 0.0, rest, waiting)
    steps = entry.reached - entry.began
    kept = hours * (entry.saved - entry.began) / steps if steps > 0 else 0.0
    if StageExit(entry.code).permanent:
        kept = kept if done else 0.0
        return kept, hours - kept, 0.0, 0.0
    return kept, 0.0, hours - kept, 0.0
