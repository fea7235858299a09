"""A queue's own object → words: Kueue's Workload, Volcano's PodGroup.

Conditions as Kueue v0.19 writes them (`QuotaReserved`, `Admitted`, `Evicted`, `Preempted`, `Requeued`).
"""

from __future__ import annotations

import re
from typing import Any

from c2f_spec.targets.kubernetes.words.why import Why, bounded

UNUSED = re.compile(
    r"insufficient unused quota(?: in cohort)? for (?P<resource>\S+) in flavor (?P<flavor>[^\s,]+), (?P<more>\S+) more needed"
)
TOO_MUCH = re.compile(
    r"insufficient quota for (?P<resource>\S+) in flavor (?P<flavor>[^\s,]+), .*> maximum capacity \((?:\S+ > )?(?P<most>[^)]+)\)"
)
BORROWING = re.compile(r"borrowing limit for (?P<resource>\S+) in flavor (?P<flavor>\S+) exceeded")
NOT_COVERED = re.compile(r"resource (?P<resource>\S+) unavailable in ClusterQueue")
NO_QUEUE = re.compile(r"(?P<kind>LocalQueue|ClusterQueue) (?P<name>\S+) (?P<what>doesn't exist|is inactive)")
TOPOLOGY = re.compile(r'topology "(?P<name>[^"]+)" (?P<what>(?:doesn\'t allow|allows) to fit .*)')

EVICTED = {
    "Preempted": "another took its place (preempted); it waits for its turn again",
    "PodsReadyTimeout": "not all of its pods came up in the queue's time; it waits for its turn again",
    "AdmissionCheck": "an admission check of the queue failed",
    "ClusterQueueStopped": "the queue was stopped",
    "LocalQueueStopped": "the queue was stopped",
    "NodeFailures": "a node of its failed; it waits for its turn again",
    "Deactivated": "the queue has given it up",
}


def workload(found: dict[str, Any]) -> Why | None:
    """Why Kueue does not let a Job start; nothing once it does."""
    conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", [])}
    if found.get("spec", {}).get("active") is False:
        return Why(
            "the queue has given it up (its Workload is not active)",
            "`retry` makes a new Job of it",
            stuck=True,
        )
    if _true(conditions.get("Admitted")):
        return None
    reserved = conditions.get("QuotaReserved")
    evicted = conditions.get("Evicted")
    if reserved is None:
        return Why("waits for the queue to look at it")
    if _true(reserved):
        waits = [
            c["name"] for c in found.get("status", {}).get("admissionChecks", []) if c.get("state") != "Ready"
        ]
        return Why(f"has its quota, and waits for the queue's checks: {', '.join(waits) or 'admission'}")
    told = _pending(str(reserved.get("reason", "")), str(reserved.get("message", "")))
    if _true(evicted) and (reason := EVICTED.get(str(evicted and evicted.get("reason")))):
        return Why(f"{reason}; {told.words}", told.way_out, told.stuck)
    return told


def _pending(reason: str, message: str) -> Why:
    if found := TOO_MUCH.search(message):
        return Why(
            f"asks for more {found['resource']} than its queue ever has: {found['most']} of flavor {found['flavor']}",
            "lower `gpus` or `nodes` of the stage under `resources`, or raise the queue's quota",
            stuck=True,
        )
    if found := UNUSED.search(message):
        return Why(f"waits for quota: {found['more']} more {found['resource']} of flavor {found['flavor']}")
    if found := BORROWING.search(message):
        return Why(
            f"waits for quota: the queue may borrow no more {found['resource']} of flavor {found['flavor']}"
        )
    if found := NOT_COVERED.search(message):
        return Why(
            f"the queue has no quota for {found['resource']}",
            f"add {found['resource']} to `coveredResources` of the ClusterQueue",
            stuck=True,
        )
    if found := NO_QUEUE.search(message):
        return Why(
            f"the queue `{found['name']}` {'does not exist' if 'exist' in found['what'] else 'is not active'}",
            "kubectl apply -k k8s/ makes it, or correct `scheduler.queue` of the environment; `doctor` looks",
            stuck=True,
        )
    if found := TOPOLOGY.search(message):
        return Why(f"waits for nodes that lie together: topology `{found['name']}` {found['what']}")
    words = bounded(message) or reason or "pending"
    return Why(f"waits in the queue: {words}", stuck=reason == "Inadmissible")


def pod_group(found: dict[str, Any]) -> Why | None:
    """Why Volcano does not let a gang start; nothing once it does."""
    status = found.get("status", {})
    if status.get("phase") in ("Running", "Completed"):
        return None
    for condition in reversed(status.get("conditions", [])):
        if condition.get("type") == "Unschedulable" and condition.get("status") == "True":
            return Why(f"waits for the whole gang: {bounded(str(condition.get('message', '')))}")
    return Why("waits for the queue to look at it")


def _true(condition: dict[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "True"
