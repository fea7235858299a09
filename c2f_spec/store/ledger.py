"""The ledger: who used how many GPU-hours, and what for. Entries are added and never changed.

ledger/<yyyy-mm>/<kind>-<key>-<attempt>.json
work/<kind>/<key>/account.json    whose hours a stage's next attempts are: the last one who launched it. Advisory: the
                                  stage's Job is the same for whoever launches it, so it cannot carry this itself
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
"""Requests that wait for a store at the same time."""


def charge(store: ObjectStore, accounts: Mapping[tuple[str, str], Account]) -> None:
    """Say, by kind and key, whose hours the next attempts at some stages are."""
    texts = {
        _account_name(*stage): seal(account.model_dump(mode="json")) for stage, account in accounts.items()
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: store.replace(name, texts[name]), texts))


def read_account(store: ObjectStore, kind: str, key: str) -> Account | None:
    """Whose hours an attempt is that begins now; nobody's, if it was not launched by `apply` or the driver."""
    value = read_sealed(store, _account_name(kind, key), "remove it: the hours are then nobody's")
    return Account.model_validate(value) if value is not None else None


def _account_name(kind: str, key: str) -> str:
    return f"{work_name(kind, key)}/account.json"


def add(store: ObjectStore, entry: Entry) -> bool:
    """Write an entry; false if this attempt has one."""
    name = f"ledger/{entry.started[:7]}/{entry.kind}-{entry.key}-{entry.attempt}.json"
    return store.create(name, seal(entry.model_dump(mode="json")))


def read(store: ObjectStore, months: Iterable[str] | None = None) -> list[Entry]:
    """The entries of some months (`2026-11`), or all, in the order in which their attempts began.

    One listing a month and the contents side by side. Raises `Unreachable` naming an entry that is damaged.
    """
    prefixes = ["ledger"] if months is None else [f"ledger/{month}" for month in months]
    return _read(store, [name for prefix in prefixes for name in store.names(prefix)])


def read_sample(store: ObjectStore, kinds: Collection[str], keys: Collection[str], most: int) -> list[Entry]:
    """Entries of the stages `keys`, and `most` others of each of `kinds`, of the newest months. Raises as `read` does."""
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
    found = []
    for name, value in read_all_sealed(store, names, REMEDY).items():
        try:
            found.append(Entry.model_validate(value))
        except ValidationError as error:
            raise Unreachable(
                f"another version of c2f-spec wrote the entry {name} of the ledger in {store.url}",
                hint=REMEDY,
            ) from error
    return sorted(found, key=lambda entry: (entry.started, entry.attempt))


# The ledger, summed: GPU-hours that made results, and those that did not, by user, project or month. Pure.
#
# Of an attempt, what came after its last checkpoint has to be done again unless its result stands; what a stage of that
# key had saved is kept by the attempt that went on from it. So hours are
#
# - used: of results that stand, and up to the last checkpoint of stages that can go on from it
# - failed: of attempts that ended for good, beyond what a later one could keep
# - redone: of attempts that were stopped, beyond their last checkpoint, and of results that came second
# - waiting: GPUs were held and the work had not begun: start of processes, downloads, weights onto the GPU


By = Literal["user", "project", "month"]
GROUP_BY: dict[str, Callable[[Entry], str]] = {
    "user": lambda e: e.account.user,
    "project": lambda e: e.account.project,
    "month": lambda e: e.started[:7],
}


@dataclass(slots=True)
class HourTotals:
    """GPU-hours of many attempts."""

    stages: int = 0
    """Results that stand."""
    attempts: int = 0
    hours: float = 0.0
    """Of processes, with or without GPUs."""
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
    """Whose → what. `prices` are those of a GPU-hour, by pool; others cost nothing."""
    found: dict[str, HourTotals] = {}
    given = list(entries)
    committed = {e.key for e in given if e.committed}
    for entry in given:
        at = found.setdefault(GROUP_BY[by](entry), HourTotals())
        used, failed, redone, waiting = split_hours(entry, done=entry.key in committed)
        at.stages += entry.committed
        at.attempts += 1
        at.hours += entry.seconds / 3600
        at.used += used
        at.failed += failed
        at.redone += redone
        at.waiting += waiting
        at.price += gpu_hours(entry) * prices.get(entry.account.pool, 0.0)
    return dict(sorted(found.items()))


def gpu_hours(entry: Entry) -> float:
    return entry.gpus * entry.seconds / 3600


def split_hours(entry: Entry, *, done: bool) -> tuple[float, float, float, float]:
    """GPU-hours used, failed, redone and waiting of an attempt; `done`: some attempt at its stage came to a result."""
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
