"""Leases: which attempt works on a stage. One object, changed by compare-and-swap, that a heartbeat keeps changing.

    work/<kind>/<key>/lease.json      {"holder": <attempt>, "machine": …, "count": n, "seconds": …}; holder null = free

No two clocks are compared: a lease is stale when an observer saw it unchanged for its own `seconds`. A holder that
cannot renew it for so long stops by itself, so a pod that lost its network does not go on for long.

A lease saves work and does not guard results. Records do, which are created once, whichever attempt commits.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Unreachable
from c2f_spec.store import records
from c2f_spec.store.digest import TRIES, seal, unseal
from c2f_spec.store.machine import home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.store.protocol import ObjectStore

LEASE_SECONDS, BEAT_SECONDS = 90.0, 15.0
"""A lease without a heartbeat for `LEASE_SECONDS` is stale. One slow request must not cost a lease."""


def machine_id() -> str:
    """Return an id of this machine or pod since its start, and of the user's folder: the reach of file locks."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}:{boot.read_text().strip() if boot.is_file() else ''}:{home()}"


@dataclass
class Lease:
    """A lease as its holder knows it."""

    store: ObjectStore
    name: str
    holder: str
    machine: str
    version: str
    count: int = 0
    seconds: float = LEASE_SECONDS
    lost: str = ""
    """Why the lease was lost; empty while it is valid."""

    def beat(self) -> bool:
        """Renew the lease; return false if another holder has it now."""
        data = _lease_bytes(self.holder, self.machine, self.count + 1, self.seconds)
        self.store.swap(self.name, data, self.version)
        state, version = _read(self.store, self.name)
        if (state.get("holder"), state.get("count")) != (self.holder, self.count + 1):
            self.lost = "another attempt has taken over"
            return False
        self.version, self.count = str(version), self.count + 1
        return True

    def release(self) -> None:
        """Free the lease. If the store does not answer, the next holder waits for `seconds`, which is no harm."""
        with contextlib.suppress(Unreachable):
            self.store.swap(
                self.name, _lease_bytes(None, self.machine, self.count + 1, self.seconds), self.version
            )


@dataclass
class LeaseWatch:
    """Distinguishes live leases from stale ones by repeated reads; keep one object for all of them."""

    store: ObjectStore
    machine: str = field(default_factory=machine_id)
    observed: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Name → version and the monotonic time in seconds of its first read."""

    def alive(self, name: str) -> bool:
        """Return whether a holder on another machine may be alive. On this machine file locks answer, at once."""
        state, version = _read(self.store, name)
        if version is None or state.get("holder") is None or state.get("machine") == self.machine:
            return False
        before, since = self.observed.get(name, ("", 0.0))
        if before != version:
            since = time.monotonic()
            self.observed[name] = (version, since)
        return time.monotonic() - since < float(state.get("seconds", LEASE_SECONDS))


def lease_name(kind: str, key: str, part: int | None = None) -> str:
    """Return the name of a lease. `part` is the index of a pod, of several that share a stage, each with a lease."""
    return f"{records.work_name(kind, key)}/lease{'' if part is None else f'-{part}'}.json"


def acquire(
    store: ObjectStore, name: str, holder: str, *, seconds: float = LEASE_SECONDS, machine: str | None = None
) -> Lease | None:
    """Return the lease, or `None` if another holder is alive. Observes a lease that may be stale for up to `seconds`.

    Of several callers that find it stale, one gets it. Callers on this `machine` hold a file lock on the stage meanwhile.
    """
    machine = machine or machine_id()
    watch = LeaseWatch(store, machine)
    while True:
        state, version = _read(store, name)
        if version is None or not watch.alive(name):
            store.swap(name, _lease_bytes(holder, machine, 0, seconds), version)
            state, version = _read(store, name)
            mine = version is not None and state.get("holder") == holder
            return Lease(store, name, holder, machine, str(version), 0, seconds) if mine else None
        time.sleep(min(BEAT_SECONDS, float(state["seconds"])) / 3)
        after, now = _read(store, name)
        if now != version and after.get("holder") is not None:
            return None  # it was renewed


@contextlib.contextmanager
def heartbeat(
    lease: Lease, kind: str, key: str, lost: Callable[[], None], every: float = BEAT_SECONDS
) -> Iterator[None]:
    """Renew `lease` meanwhile. Call `lost` once if it is taken, cannot be renewed, or another attempt has committed.

    `lease.lost` then has the reason.
    """
    ended, last = threading.Event(), [time.monotonic()]

    def renew() -> None:
        while not (ended.wait(every) or lease.lost):
            with contextlib.suppress(Unreachable):
                if lease.beat():
                    last[0] = time.monotonic()
                    if lease.store.exists(records.record_name(kind, key)):
                        lease.lost = "another attempt committed first"

    def guard() -> None:
        # Beside the renewal, which may hang in a request for longer than a lease lasts.
        while not ended.wait(every / 15):
            if time.monotonic() - last[0] > lease.seconds:
                lease.lost = f"the store did not answer for {lease.seconds:.0f} s"
            if lease.lost:
                lost()
                return

    threads = [threading.Thread(target=each, name="lease", daemon=True) for each in (renew, guard)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        threads[1].join()


def _lease_bytes(holder: str | None, here: str, count: int, seconds: float) -> bytes:
    return seal({"holder": holder, "machine": here, "count": count, "seconds": seconds})


def _read(store: ObjectStore, name: str) -> tuple[dict[str, Any], str | None]:
    """Return the fields of a lease and its version; without an object, no fields and `None`.

    A damaged lease counts as free: a lease only avoids waste, and to wait for it forever would waste more.
    """
    version = None
    for _ in range(TRIES):
        found = store.read_version(name)
        if found is None:
            return {}, None
        version, state = found[1], unseal(found[0])
        if state is not None:
            return state, version
    return {}, version
