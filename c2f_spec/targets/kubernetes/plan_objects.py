"""`delete`: every object of a plan, and then a look whether anything of it is left.

Objects are found by their labels and not by what a plan says should be there, so what an interrupted `apply`, an older
version or a changed environment left is found, too. The store is not touched.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, LEASES, POD_GROUPS, PODS, SERVICES
from c2f_spec.targets.kubernetes.errors import Forbidden, NotFound
from c2f_spec.targets.kubernetes.manifests import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from c2f_spec.targets.kubernetes.client import Client, Resource


OURS = f"{names.MANAGED_BY}={names.MANAGER}"
KINDS = (JOBS, CONFIGMAPS, SERVICES, POD_GROUPS, LEASES)
"""Kinds of objects that we make, the ones that make others first."""
POLL_SECONDS = 0.5


class PlanObject(NamedTuple):
    """One object of ours in the cluster."""

    resource: Resource
    name: str
    uid: str
    key10: str
    """The start of its stage's key; nothing, if it is a plan's."""
    plan10: str
    """The start of its plan's digest; nothing, if it is a stage's."""

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"


def list_objects(client: Client, resources: Iterable[Resource] = KINDS) -> list[PlanObject]:
    """Everything of ours in the namespace, the drivers' Jobs first: they would make again what is removed."""
    found = []
    for resource in resources:
        try:
            items = [*client.list(resource, labels=OURS, metadata_only=True)]
        except (NotFound, Forbidden):
            continue  # a kind that this cluster does not have, or that this identity never made
        found += [_found(resource, item) for item in items]
    return sorted(
        found,
        key=lambda f: (
            not (f.resource is JOBS and f.plan10),
            KINDS.index(f.resource) if f.resource in KINDS else 9,
            f.name,
        ),
    )


def _found(resource: Resource, item: dict[str, Any]) -> PlanObject:
    metadata = item["metadata"]
    labels = metadata.get("labels", {})
    return PlanObject(
        resource,
        metadata["name"],
        metadata["uid"],
        labels.get(names.SHORT_KEY, ""),
        labels.get(names.PLAN, ""),
    )


def objects_of_plan(
    found: Iterable[PlanObject], digest: str, keys: Iterable[str], kept: Iterable[str]
) -> list[PlanObject]:
    """What belongs to a plan: its own objects, and those of its stages unless they are `kept` for others."""
    mine = {key[:10] for key in keys} - {key[:10] for key in kept}
    return [f for f in found if f.plan10 == digest[:10] or (f.key10 and f.key10 in mine)]


def delete_objects(client: Client, found: Iterable[PlanObject]) -> None:
    """Ask for the removal of each; what a Job owns goes with it, after its grace."""
    for item in found:
        client.delete(item.resource, item.name, uid=item.uid)


def wait_until_deleted(
    client: Client, found: list[PlanObject], *, seconds: float, say: Callable[[str], None]
) -> list[PlanObject]:
    """Until they and their pods are gone, at most `seconds`; returns what is left. `say` is told of pods that save."""
    end = time.monotonic() + seconds
    said = ""
    while True:
        uids = {f.uid for f in found}
        stages = {f.key10 for f in found if f.key10}
        plans = {f.plan10 for f in found if f.plan10}
        pods = [p for p in list_objects(client, (PODS,)) if p.key10 in stages or p.plan10 in plans]
        left = [*(f for f in list_objects(client) if f.uid in uids), *pods]
        if not left or time.monotonic() > end:
            return left
        now = f"{len(pods)} pod{'s' if len(pods) != 1 else ''} still end{'s' if len(pods) == 1 else ''}"
        if pods and now != said:
            say(now)
            said = now
        time.sleep(POLL_SECONDS)


# Plans that are running, as the cluster knows them: a ConfigMap each, with its keys, and a driver.
#
# `cancel` and `delete` ask here who else needs a stage, so that nobody's experiment ends with another one's.


PLANS = f"{names.MANAGED_BY}={names.MANAGER},app.kubernetes.io/component=plan"
DRIVERS = f"{names.MANAGED_BY}={names.MANAGER},app.kubernetes.io/component=driver"


class RunningPlan(NamedTuple):
    """One plan that the cluster is at."""

    digest: str
    name: str
    keys: frozenset[str]
    """Of its stages."""


def running_plans(client: Client) -> list[RunningPlan]:
    """Plans whose driver has not ended. One that is driven by `apply --wait` has no driver's Job and counts as well."""
    ended = {
        job["metadata"]["name"]
        for job in client.list(JOBS, labels=DRIVERS)
        if any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True"
            for c in job.get("status", {}).get("conditions", ())
        )
    }
    found = []
    for item in client.list(CONFIGMAPS, labels=PLANS):
        data = item.get("data") or {}
        if "digest" in data and names.driver_name(data["digest"]) not in ended:
            keys = frozenset(entry["key"] for entry in json.loads(data.get("keys", "[]")))
            found.append(RunningPlan(data["digest"], data.get("name", ""), keys))
    return found


def other_plans(plans: Iterable[RunningPlan], digest: str) -> dict[str, tuple[str, ...]]:
    """Key → names of the other plans that need it."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        if plan.digest != digest:
            for key in plan.keys:
                found.setdefault(key, []).append(plan.name or plan.digest[:10])
    return {key: tuple(sorted(set(who))) for key, who in found.items()}
