"""Does the queue exist, take Jobs, and ever have room for a node's GPUs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.health import Finding, error, ok, warning
from c2f_spec.spec.quantities import amount
from c2f_spec.targets.kubernetes.client import CLUSTER_QUEUES, LOCAL_QUEUES, PRIORITY_CLASSES, VOLCANO_QUEUES
from c2f_spec.targets.kubernetes.errors import Forbidden

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import Kueue, Volcano
    from c2f_spec.targets.kubernetes.doctor import Site


def queue(site: Site) -> list[Finding]:
    scheduler = site.environment.scheduler
    if scheduler.kind == "kueue":
        return _kueue(site, scheduler)
    if scheduler.kind == "volcano":
        return _volcano(site, scheduler)
    return [
        *_priority(site, scheduler.priority),
        ok("scheduler", "the cluster's own; no stage of several nodes"),
    ]


def _kueue(site: Site, scheduler: Kueue) -> list[Finding]:
    what = f"queue {scheduler.queue}"
    local = site.client.get(LOCAL_QUEUES, scheduler.queue)
    if local is None:
        return [
            error(
                what,
                "there is no such LocalQueue in the namespace",
                "kubectl apply -k k8s/overlays/kueue, or correct `scheduler.queue`",
            )
        ]
    if (stopped := _inactive(local)) is not None:
        return [error(what, f"is not active: {stopped}", "ask who runs the queues")]
    name = str(local["spec"]["clusterQueue"])
    try:
        shared = site.client.get(CLUSTER_QUEUES, name)
    except Forbidden:
        return [ok(what, f"active, in ClusterQueue {name}, which this identity may not read")]
    if shared is None:
        return [
            error(what, f"its ClusterQueue `{name}` does not exist", "kubectl apply -k k8s/overlays/kueue")
        ]
    return _room(site, what, name, quotas(shared)) or [ok(what, f"active, in ClusterQueue {name}")]


def quotas(cluster_queue: dict[str, Any]) -> dict[str, Any]:
    """Resource to what a ClusterQueue has of it in all flavors, what it may borrow included (no limit: endless)."""
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


def _room(site: Site, what: str, name: str, quota: dict[str, Any]) -> list[Finding]:
    found = []
    for pool_name, pool in site.environment.pools.items():
        asked = {
            "cpu": pool.cpu,
            "memory": pool.memory,
            **({pool.resource: str(pool.gpus)} if pool.gpus else {}),
        }
        for resource, quantity in asked.items():
            if resource not in quota:
                found.append(
                    error(
                        what,
                        f"ClusterQueue {name} covers no {resource}: Jobs that ask for it are never admitted",
                        f"add {resource} to its `coveredResources`",
                    )
                )
            elif amount(quantity) > quota[resource]:
                found.append(
                    warning(
                        what,
                        f"a whole node of pool {pool_name} asks for {quantity} {resource}; ClusterQueue {name} never has so much",
                        "raise its quota, or ask for fewer GPUs under `resources`",
                    )
                )
    return list(dict.fromkeys(found))


def _inactive(queue: dict[str, Any]) -> str | None:
    """Why a queue takes nothing; `None` if it does, or does not say."""
    for condition in queue.get("status", {}).get("conditions", ()):
        if condition["type"] == "Active" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason"))
    return None


def _volcano(site: Site, scheduler: Volcano) -> list[Finding]:
    what = f"queue {scheduler.queue}"
    found = site.client.get(VOLCANO_QUEUES, scheduler.queue)
    if found is None:
        return [
            error(
                what,
                "there is no such Queue of Volcano",
                "kubectl apply -k k8s/overlays/volcano, or correct `scheduler.queue`",
            )
        ]
    state = found.get("status", {}).get("state", "Open")
    if state != "Open":
        return [error(what, f"is {state}", "ask who runs the queues")]
    return [*_priority(site, scheduler.priority), ok(what, "open")]


def _priority(site: Site, name: str | None) -> list[Finding]:
    if name is None:
        return []
    if site.client.get(PRIORITY_CLASSES, name) is None:
        return [
            error(
                f"priority {name}",
                "there is no such PriorityClass: pods would be refused",
                "kubectl apply -k k8s/, or correct `scheduler.priority`",
            )
        ]
    return [ok(f"priority {name}", "exists")]
