"""Set a plan going: what its driver needs in the store, the plan's ConfigMap, and the driver's Job.

Everything is named by the digest of the plan, so two people who apply it at once make one driver, and both follow it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Unreachable
from c2f_spec.plan.code import bundle, store_bundle
from c2f_spec.targets.kubernetes.bulk_apply import digest_of
from c2f_spec.targets.kubernetes.errors import Conflict
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.resources import CONFIGMAPS, JOBS, resource_of

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.resources import Resource

CLEARED_SECONDS = 30.0


def driver_objects(plan: Plan) -> list[dict[str, Any]]:
    """The plan's ConfigMap and the driver's Job."""
    return [plan_map(plan), driver_job(plan, bundle("driver").digest)]


def driven(client: Client, plan: Plan) -> bool:
    """Whether a driver is at this plan now."""
    job = client.get(JOBS, names.driver_name(plan.digest))
    wish = client.get(CONFIGMAPS, names.plan_name(plan.digest))
    return job is not None and wish is not None and not ended(job)


def ended(job: dict[str, Any]) -> str:
    """`Complete` or `Failed` of a Job that has ended, else nothing."""
    conditions = job.get("status", {}).get("conditions", ())
    return next(
        (c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), ""
    )


def store_code(objects: ObjectStore) -> None:
    """The reviewed code, for stages and for the driver; no image is built for it."""
    for what in ("stage", "driver"):
        store_bundle(objects, bundle(what))


def start(client: Client, plan: Plan) -> None:
    """Start the driver. What is left of one that has ended, for this very plan, makes room for the next.

    Raises `Unreachable` if that does not go.
    """
    wanted = driver_objects(plan)
    for item in wanted:
        resource, name = resource_of(item), item["metadata"]["name"]
        standing = client.get(resource, name)
        # Neither a Job nor a ConfigMap of ours can be changed.
        if standing is not None and (ended(standing) or digest_of(standing) != digest_of(item)):
            _clear(client, resource, standing)
    for item in wanted:
        client.apply(item)


def _clear(client: Client, resource: Resource, standing: dict[str, Any]) -> None:
    name, uid = standing["metadata"]["name"], standing["metadata"]["uid"]
    with contextlib.suppress(Conflict):  # somebody else replaced it a moment ago: theirs is ours
        client.delete(resource, name, uid=uid)
    end = time.monotonic() + CLEARED_SECONDS
    while (found := client.get(resource, name)) is not None and found["metadata"]["uid"] == uid:
        if time.monotonic() > end:
            raise Unreachable(
                f"{resource.kind} {name} of a driver that has ended does not go",
                hint="does a finalizer hold it? `kubectl describe` tells",
            )
        time.sleep(0.2)
