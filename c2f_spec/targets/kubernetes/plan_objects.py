"""The objects of a plan in the cluster: list them, delete them, and find the plans that are running.

Objects are found by their labels and not by what a plan says should exist, so what an interrupted `apply`, an older
version or a changed environment left is found, too. The store is not touched.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, LEASES, POD_GROUPS, PODS, SERVICES
from c2f_spec.targets.kubernetes.errors import Forbidden, NotFound
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.status.termination import end_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.targets.kubernetes.client import Client, Resource

KINDS = (JOBS, CONFIGMAPS, SERVICES, POD_GROUPS, LEASES)
"""Kinds of objects that c2f-spec creates; those that create others come first."""
POLL_SECONDS = 0.5


class PlanObject(NamedTuple):
    """An object of c2f-spec in the cluster."""

    resource: Resource
    name: str
    uid: str
    key10: str
    """The start of the key of its stage; empty for an object of a plan."""
    plan10: str
    """The start of the digest of its plan; empty for an object of a stage."""

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"


def list_objects(client: Client, resources: Iterable[Resource] = KINDS) -> list[PlanObject]:
    """Return every object in the namespace, the Jobs of drivers first: they would create again what is deleted."""
    objects = []
    for resource in resources:
        try:
            items = [*client.list(resource, labels=names.OURS, metadata_only=True)]
        except (NotFound, Forbidden):
            continue  # a kind that this cluster does not have, or that this identity never created
        for item in items:
            metadata = item["metadata"]
            labels = metadata.get("labels", {})
            key10, plan10 = labels.get(names.SHORT_KEY, ""), labels.get(names.PLAN, "")
            objects.append(PlanObject(resource, metadata["name"], metadata["uid"], key10, plan10))
    order = {resource: number for number, resource in enumerate(KINDS)}
    return sorted(
        objects,
        key=lambda o: (not (o.resource is JOBS and o.plan10), order.get(o.resource, len(order)), o.name),
    )


def objects_of_plan(
    objects: Iterable[PlanObject], digest: str, keys: Iterable[str], excluded: Iterable[str]
) -> list[PlanObject]:
    """Return the objects of a plan and of its stages, without stages whose key is in `excluded`: other plans need them."""
    stages = {key[:10] for key in keys} - {key[:10] for key in excluded}
    return [o for o in objects if o.plan10 == digest[:10] or (o.key10 and o.key10 in stages)]


def delete_objects(client: Client, objects: Iterable[PlanObject]) -> None:
    """Delete each object; what a Job owns goes with it, after its grace period."""
    for item in objects:
        client.delete(item.resource, item.name, uid=item.uid)


def wait_until_deleted(
    client: Client, objects: list[PlanObject], *, seconds: float, report: Callable[[str], None]
) -> list[PlanObject]:
    """Wait until the objects and their pods are gone, at most `seconds`; return what is left.

    `report` gets a line when the number of pods that are still saving changes.
    """
    end = time.monotonic() + seconds
    reported = 0
    uids = {o.uid for o in objects}
    stages, plans = {o.key10 for o in objects if o.key10}, {o.plan10 for o in objects if o.plan10}
    while True:
        pods = [p for p in list_objects(client, (PODS,)) if p.key10 in stages or p.plan10 in plans]
        left = [*(o for o in list_objects(client) if o.uid in uids), *pods]
        if not left or time.monotonic() > end:
            return left
        if pods and len(pods) != reported:
            reported = len(pods)
            report(f"{reported} pod{'s' if reported != 1 else ''} still terminating")
        time.sleep(POLL_SECONDS)


class RunningPlan(NamedTuple):
    """A plan that the cluster is working on, known by its ConfigMap."""

    digest: str
    name: str
    keys: frozenset[str]
    """Keys of its stages."""


def running_plans(client: Client) -> list[RunningPlan]:
    """Return plans whose driver has not ended. A plan of `apply --wait` has no driver's Job and counts as well."""
    ended = {job["metadata"]["name"] for job in client.list(JOBS, labels=names.DRIVERS) if end_condition(job)}
    plans = []
    for item in client.list(CONFIGMAPS, labels=names.PLANS):
        data = item.get("data") or {}
        if "digest" in data and names.driver_name(data["digest"]) not in ended:
            keys = frozenset(entry["key"] for entry in json.loads(data.get("keys", "[]")))
            plans.append(RunningPlan(data["digest"], data.get("name", ""), keys))
    return plans


def other_plans(plans: Iterable[RunningPlan], digest: str) -> dict[str, tuple[str, ...]]:
    """Return the names of the other plans that need a stage, by its key."""
    found: dict[str, set[str]] = {}
    for plan in plans:
        if plan.digest != digest:
            for key in plan.keys:
                found.setdefault(key, set()).add(plan.name or plan.digest[:10])
    return {key: tuple(sorted(who)) for key, who in found.items()}
