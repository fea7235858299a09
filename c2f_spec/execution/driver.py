"""The driver: the loop of `run.py` in a small pod of the cluster, killable at any time.

It has no state: the store knows what is done, the cluster knows what runs, and the next driver reads both anew. A Lease
keeps one driver active; one that loses it stops at once and waits for it again. The plan's ConfigMap requests the run:
when it is removed, the driver ends and starts nothing more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from c2f_spec.execution.run import run
from c2f_spec.spec.environment import has_pools
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, LEASES
from c2f_spec.targets.kubernetes.driver_lease import SECONDS, Lease, LeaseLost
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.outcomes import OutcomeRecorder
from c2f_spec.targets.kubernetes.target import RESYNC_SECONDS, Kubernetes
from c2f_spec.targets.kubernetes.watch import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.execution.run import Event
    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client

LAST_JOBS_SECONDS = 120.0
"""Time that Jobs of committed stages get to end, before the driver leaves."""


class Withdrawn(Exception):
    """The plan's ConfigMap was removed: the run is cancelled."""


class Halted(Exception):
    """SIGTERM was received: the next driver goes on."""


class Driver:
    """Drives one plan of a cluster. `halt` may be called from a signal handler."""

    def __init__(
        self,
        plan: Plan,
        store: ObjectStore,
        client: Client,
        identity: str,
        *,
        lease_seconds: float = SECONDS,
        resync: float = RESYNC_SECONDS,
        keep_plan_object: bool = False,
    ) -> None:
        """With `keep_plan_object`, the plan's ConfigMap belongs to another controller (GitOps) and stays at the end."""
        self.plan, self.store, self.client, self.keep_plan_object = plan, store, client, keep_plan_object
        labels = names.plan_labels(plan.digest, "driver")
        impatient = client.with_patience(lease_seconds / 4)
        self.lease = Lease(
            impatient, names.driver_name(plan.digest), identity, labels=labels, seconds=lease_seconds
        )
        self.target = Kubernetes(
            store, client, plan, guard=self._check_may_write, admit=self._check_plan_exists, resync=resync
        )
        selector = f"{names.PLAN}={plan.digest[:10]},{names.COMPONENT}=plan"
        self._plan_object = Mirror(
            client, CONFIGMAPS, labels=selector, keep=_version, changed=self._on_plan_changed
        )
        environment = plan.environment
        assert has_pools(environment)
        self._outcomes = OutcomeRecorder(self.target, environment.limits.ttl_seconds)
        self._refresh_needed = self._halted = False

    def halt(self) -> None:
        """Stop soon: what runs goes on, and the next driver with it."""
        self._halted = True
        self.target.changed.set()

    def events(self) -> Iterator[Event]:
        """Yield events until every stage has ended, whichever process runs it.

        Raises `Withdrawn`, `Halted`, and `Unreachable` when cluster or store stay away for too long.
        """
        while True:
            self.lease.acquire(self._sleep)
            try:
                yield from self._drive()
            except LeaseLost:
                continue  # wait for the lease again: its holder may be killed, too
            finally:
                self.lease.release()
            return

    def finish(self) -> None:
        """Remove the driver's objects after the last stage: nothing of the plan is left but its Jobs.

        The ConfigMap goes last, because a pod of the driver mounts it: one that is killed before this can come again.
        """
        self.client.delete(LEASES, self.lease.name)
        if not self.keep_plan_object:
            self.client.delete(CONFIGMAPS, names.plan_name(self.plan.digest))

    def _drive(self) -> Iterator[Event]:
        """Run the loop while this driver holds the lease; read everything anew."""
        try:
            self._plan_object.start()
            self.target.open()
            self._outcomes.record_all()
            yield from run(self.plan, self.target, wait=self._wait)
            self._wait_for_last_jobs()
        finally:
            self.target.close()
            self._plan_object.stop()

    def _wait(self) -> None:
        self.target.wait()
        self._check_may_write()
        self._plan_object.check()
        if self._refresh_needed:
            self._refresh_needed = False
            self.target.refresh()
        self._outcomes.record_all()

    def _wait_for_last_jobs(self) -> None:
        """Wait for the Jobs of committed stages to end."""
        end = time.monotonic() + LAST_JOBS_SECONDS
        while any(not job.ended for job in self.target.jobs.values()) and time.monotonic() < end:
            self.target.changed.wait(1.0)
            self.target.changed.clear()
            self._check_may_write()
        self._outcomes.record_all()

    def _on_plan_changed(self) -> None:
        """Handle a change of the plan's ConfigMap: a retry was requested, or the run was cancelled."""
        self._refresh_needed = True
        self.target.changed.set()

    def _check_may_write(self) -> None:
        """Raise before a write if the driver must stop: halted, lease lost, or run cancelled."""
        if self._halted:
            raise Halted
        self.lease.check()
        if not self._plan_object.items:
            raise Withdrawn

    def _check_plan_exists(self) -> None:
        """Raise `Withdrawn` before new Jobs if the plan's ConfigMap is gone: the watch may be late."""
        if self.client.get(CONFIGMAPS, names.plan_name(self.plan.digest)) is None:
            raise Withdrawn

    def _sleep(self, seconds: float) -> None:
        if self.target.changed.wait(seconds):
            self.target.changed.clear()
        if self._halted:
            raise Halted


def _version(item: dict[str, Any]) -> str:
    return str(item["metadata"]["resourceVersion"])
