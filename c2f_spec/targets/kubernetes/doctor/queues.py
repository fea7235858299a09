"""Check that the queue exists, accepts Jobs, and has quota for a whole node of each pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.spec.quantities import amount
from c2f_spec.targets.kubernetes.client import CLUSTER_QUEUES, LOCAL_QUEUES, PRIORITY_CLASSES, VOLCANO_QUEUES
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import Kueue, Volcano
    from c2f_spec.targets.kubernetes.doctor.cluster import Site

ADMINISTRATOR = "ask the administrator of the queues"


def check_queue(site: Site) -> list[HealthCheck]:
    """Check the environment's scheduler."""
    scheduler = site.environment.scheduler
    if scheduler.kind == "kueue":
        return _check_kueue(site, scheduler)
    if scheduler.kind == "volcano":
        return _check_volcano(site, scheduler)
    found = ok("scheduler", "the default of the cluster; stages of several nodes are not supported")
    return [*_check_priority(site, scheduler.priority), found]


def _check_kueue(site: Site, scheduler: Kueue) -> list[HealthCheck]:
    what = f"queue {scheduler.queue}"
    local = site.client.get(LOCAL_QUEUES, scheduler.queue)
    if local is None:
        fix = "run `kubectl apply -k k8s/overlays/kueue`, or correct `scheduler.queue`"
        return [error(what, "LocalQueue not found in the namespace", fix)]
    for condition in local.get("status", {}).get("conditions", ()):
        if condition["type"] == "Active" and condition["status"] == "False":
            return [
                error(
                    what, f"is inactive: {condition.get('message') or condition.get('reason')}", ADMINISTRATOR
                )
            ]
    name = str(local["spec"]["clusterQueue"])
    try:
        cluster_queue = site.client.get(CLUSTER_QUEUES, name)
    except Forbidden:
        return [ok(what, f"active, in ClusterQueue {name}, which this identity may not read")]
    if cluster_queue is None:
        return [error(what, f"ClusterQueue `{name}` not found", "run `kubectl apply -k k8s/overlays/kueue`")]
    return _check_quota(site, what, name, quotas(cluster_queue)) or [
        ok(what, f"active, in ClusterQueue {name}")
    ]


def quotas(cluster_queue: dict[str, Any]) -> dict[str, Any]:
    """Return the quota of each resource over all flavors, with what may be borrowed (infinite without a limit)."""
    found: dict[str, Any] = {}
    borrows = bool(cluster_queue["spec"].get("cohortName") or cluster_queue["spec"].get("cohort"))
    for group in cluster_queue["spec"].get("resourceGroups", ()):
        for flavor in group.get("flavors", ()):
            for resource in flavor.get("resources", ()):
                limit = resource.get("borrowingLimit")
                more = amount(str(limit)) if limit is not None else float("inf") if borrows else 0
                name = resource["name"]
                found[name] = found.get(name, 0) + amount(str(resource["nominalQuota"])) + more
    return found


def _check_quota(site: Site, what: str, name: str, quota: dict[str, Any]) -> list[HealthCheck]:
    findings = []
    for pool_name, pool in site.environment.pools.items():
        gpus = {pool.resource: str(pool.gpus)} if pool.gpus else {}
        for resource, quantity in {"cpu": pool.cpu, "memory": pool.memory, **gpus}.items():
            if resource not in quota:
                detail = (
                    f"ClusterQueue {name} does not cover {resource}: Jobs that request it are never admitted"
                )
                findings.append(error(what, detail, f"add {resource} to its `coveredResources`"))
            elif amount(quantity) > quota[resource]:
                detail = (
                    f"a whole node of pool {pool_name} requests {quantity} {resource}, more than the quota of "
                    f"ClusterQueue {name}"
                )
                findings.append(
                    warning(what, detail, "raise its quota, or request fewer GPUs under `resources`")
                )
    return list(dict.fromkeys(findings))


def _check_volcano(site: Site, scheduler: Volcano) -> list[HealthCheck]:
    what = f"queue {scheduler.queue}"
    queue = site.client.get(VOLCANO_QUEUES, scheduler.queue)
    if queue is None:
        fix = "run `kubectl apply -k k8s/overlays/volcano`, or correct `scheduler.queue`"
        return [error(what, "Queue of Volcano not found", fix)]
    state = queue.get("status", {}).get("state", "Open")
    if state != "Open":
        return [error(what, f"is {state}", ADMINISTRATOR)]
    return [*_check_priority(site, scheduler.priority), ok(what, "open")]


def _check_priority(site: Site, name: str | None) -> list[HealthCheck]:
    if name is None:
        return []
    if site.client.get(PRIORITY_CLASSES, name) is None:
        fix = "run `kubectl apply -k k8s/overlays/priorities`, or correct `scheduler.priority`"
        return [error(f"priority {name}", "PriorityClass not found: pods would be rejected", fix)]
    return [ok(f"priority {name}", "exists")]
