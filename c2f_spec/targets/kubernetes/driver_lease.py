"""Keep one active driver for each plan by a `coordination.k8s.io` Lease that its holder renews.

A driver that finds the lease unchanged for its whole duration *by its own clock* takes it over, so clocks need not agree.
Every change is a PUT of the version that was read, so of two drivers that try, one wins. A holder that could not renew
for two thirds of the duration stops acting, before another driver may start: between the two nobody acts.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.client import LEASES
from c2f_spec.targets.kubernetes.errors import ApiError, Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.targets.kubernetes.client import Client

SECONDS = 30.0
"""How long a silent holder keeps other drivers away."""
AWAY_SECONDS = 900.0
"""How long the server may be unreachable before the driver ends, to be started again by its Job."""


class LeaseLost(Exception):
    """Another driver may be acting: stop."""


class Lease:
    """The right to act for one plan. `identity` is unique to this process."""

    def __init__(
        self, client: Client, name: str, identity: str, *, labels: dict[str, str], seconds: float = SECONDS
    ) -> None:
        self.client, self.name, self.identity, self.labels = client, name, identity, labels
        self.seconds = seconds
        self._good_until = 0.0
        self._observed: tuple[str, float] = ("", 0.0)
        """Version of the lease of another holder, and the time when it was first read."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, wait: Callable[[float], None]) -> None:
        """Return when this driver holds the lease. `wait` sleeps for a number of seconds, and raises to give up.

        Raise `Unreachable` if the server stays away for `AWAY_SECONDS`, and `ApiError` at once if it refuses.
        """
        end = time.monotonic() + AWAY_SECONDS
        while not self._try_until(end):
            wait(min(2.0, self.seconds / 5))
        self._stop.clear()
        self._thread = threading.Thread(target=self._renew_forever, name=f"lease {self.name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise `LeaseLost` unless this driver holds the lease. Called before every write."""
        if time.monotonic() > self._good_until:
            raise LeaseLost(f"the lease {self.name} could not be renewed in time")

    def release(self) -> None:
        """Let the next driver begin at once."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if time.monotonic() > self._good_until:
            return
        self._good_until = 0.0
        try:
            found = self.client.get(LEASES, self.name)
            if found is not None and found["spec"].get("holderIdentity") == self.identity:
                # Without a holder: an empty name is no name to a server.
                spec = {k: v for k, v in found["spec"].items() if k != "holderIdentity"}
                self.client.replace({**found, "spec": spec})
        except Unreachable:
            return  # then the next driver waits until the lease expires

    def _renew_forever(self) -> None:
        while not self._stop.wait(self.seconds / 4):
            try:
                if not self._try():
                    self._good_until = 0.0
                    return
            except Unreachable:
                continue  # `check` raises when that has lasted too long

    def _try_until(self, end: float) -> bool:
        try:
            return self._try()
        except Unreachable as error:
            refused = isinstance(error, ApiError) and error.status < 500 and error.status != 429
            if refused or time.monotonic() > end:
                raise
            return False

    def _try(self) -> bool:
        """Take or renew the lease; return false if another driver holds it."""
        started = time.monotonic()
        found = self.client.get(LEASES, self.name)
        try:
            if found is None:
                self.client.create(self._manifest({}, None))
            elif self._is_free(found):
                self.client.replace(self._manifest(found["metadata"], found["spec"]))
            else:
                return False
        except (NotFound, Conflict):
            return False  # another driver took or deleted it since it was read
        self._good_until = started + self.seconds * 2 / 3
        return True

    def _is_free(self, found: dict[str, Any]) -> bool:
        """Return true if the lease is this driver's, released, or unchanged for its duration."""
        spec, version = found["spec"], found["metadata"]["resourceVersion"]
        if spec.get("holderIdentity") in (self.identity, None, ""):
            return True
        if self._observed[0] != version:
            self._observed = (version, time.monotonic())
        return time.monotonic() - self._observed[1] > max(self.seconds, float(spec["leaseDurationSeconds"]))

    def _manifest(self, metadata: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = before is not None and before.get("holderIdentity") == self.identity
        changes = int((before or {}).get("leaseTransitions") or 0)
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {**metadata, "name": self.name, "labels": self.labels},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": max(1, round(self.seconds)),
                "acquireTime": before["acquireTime"] if mine and before else now,
                "renewTime": now,
                "leaseTransitions": changes if mine or before is None else changes + 1,
            },
        }
