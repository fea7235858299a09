"""A Job with its pods, its queue's object and its events → where the stage is, in one sentence.

The one nearest to running says most: a container's state over the scheduler's word, that over the queue's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.base import Phase
from c2f_spec.targets.kubernetes.status import Why, pending, termination

if TYPE_CHECKING:
    from collections.abc import Sequence

Dict = dict[str, Any]


class Seen(NamedTuple):
    """What the cluster has of one stage."""

    job: Dict
    pods: Sequence[Dict] = ()
    events: Sequence[Dict] = ()
    """Of the Job and of its pods, in any order."""
    workload: Dict | None = None
    """Kueue's, if it has one."""
    pod_group: Dict | None = None
    """Volcano's, if it has one."""


class Standing(NamedTuple):
    phase: Phase
    why: Why

    @property
    def detail(self) -> str:
        return self.why.words


def standing(seen: Seen) -> Standing:
    """Where a stage is."""
    conditions = {
        c["type"]: c for c in seen.job.get("status", {}).get("conditions", []) if c["status"] == "True"
    }
    pods = sorted(seen.pods, key=lambda p: str(p["metadata"].get("creationTimestamp", "")))
    if "Complete" in conditions:
        return Standing(Phase.DONE, Why(""))
    for kind in ("Failed", "FailureTarget"):
        if kind in conditions:
            end = termination.of_job(conditions[kind], pods)
            return Standing(Phase.FAILED, Why(end.words, end.way_out, stuck=True))
    if "deletionTimestamp" in seen.job["metadata"]:
        return Standing(Phase.SAVING, Why("is being stopped"))
    active = [p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    if seen.job["spec"].get("suspend"):
        return _suspended(seen, active)
    if not active:
        return _between(seen, pods)
    stands = [_pod(pod, seen) for pod in active]
    return _together(stands)


def _suspended(seen: Seen, active: Sequence[Dict]) -> Standing:
    if active:
        return Standing(Phase.SAVING, Why("the queue stops it; it saves and waits for its turn again"))
    if seen.workload is not None:
        return Standing(
            Phase.QUEUED, pending.workload(seen.workload) or Why("the queue is about to start it")
        )
    return Standing(Phase.QUEUED, Why("waits for its queue (the Job is suspended)"))


def _between(seen: Seen, pods: Sequence[Dict]) -> Standing:
    """No pod lives: none was made yet, or the last one ended and the next one comes."""
    for event in _latest_first(seen.events):
        if event.get("type") == "Warning" and event.get("involvedObject", {}).get("kind") == "Job":
            why = pending.event(str(event.get("reason")), str(event.get("message")))
            if why is not None:
                return Standing(Phase.QUEUED, why)
    if not pods:
        return Standing(Phase.STARTING, Why("its pod is about to be made"))
    end = termination.of_pod(pods[-1])
    last = f" (attempt {len(pods)}: {end.words})" if end else ""
    return Standing(Phase.STARTING, Why(f"starts again{last}"))


def _together(stands: Sequence[Standing]) -> Standing:
    """Several pods are as far as the one that is least far."""
    order = (Phase.SAVING, Phase.QUEUED, Phase.STARTING, Phase.RUNNING)
    least = min(stands, key=lambda s: (order.index(s.phase), not s.why.stuck))
    if len(stands) == 1 or all(s == least for s in stands):
        return least
    up = sum(s.phase is Phase.RUNNING for s in stands)
    if least.phase is Phase.RUNNING:
        return least
    words = f"{up} of {len(stands)} pods run; one {least.why.words}"
    return Standing(least.phase, Why(words, least.why.way_out, least.why.stuck))


def _pod(pod: Dict, seen: Seen) -> Standing:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        end = termination.of_pod(pod)
        return Standing(Phase.SAVING, Why(f"saves before it stops{f' ({end.words})' if end else ''}"))
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" or not pod["spec"].get("nodeName"):
        return Standing(Phase.QUEUED, _unscheduled(pod, scheduled, seen))
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    if status.get("phase") == "Running" and not any("waiting" in c.get("state", {}) for c in containers):
        return Standing(Phase.RUNNING, Why(f"on {pod['spec']['nodeName']}"))
    return Standing(Phase.STARTING, _starting(pod, containers, seen))


def _unscheduled(pod: Dict, scheduled: Dict, seen: Seen) -> Why:
    if scheduled.get("reason") == "SchedulingGated":
        waits = pending.workload(seen.workload) if seen.workload else None
        return waits or Why("waits for its scheduling gates")
    if seen.pod_group is not None and (gang := pending.pod_group(seen.pod_group)) is not None:
        return gang
    if not scheduled.get("message"):
        return Why("waits for the scheduler to look at it")
    why = pending.unschedulable(str(scheduled["message"]))
    gpus = _gpus(pod)
    return (
        why._replace(words=f"needs {gpus} GPU{'s' if gpus > 1 else ''} on one node; {why.words}")
        if gpus
        else why
    )


def _starting(pod: Dict, containers: Sequence[Dict], seen: Seen) -> Why:
    """A pod that has a node: an error first, then what its events say, then what is being pulled."""
    for c in containers:
        waits = c.get("state", {}).get("waiting", {})
        if waits and waits.get("reason", "") not in pending.COMING:
            return pending.waiting(waits.get("reason", ""), str(waits.get("message", "")), c.get("image", ""))
    name = pod["metadata"]["name"]
    own = [e for e in _latest_first(seen.events) if e.get("involvedObject", {}).get("name") == name]
    for event in own:
        if event.get("type") == "Warning":
            why = pending.event(str(event.get("reason")), str(event.get("message")))
            if why is not None:
                return why
    if own and own[0].get("reason") == "Pulling":
        image = str(own[0].get("message", "")).removeprefix("Pulling image ").strip('"')
        return Why(f"pulls the image {image} on {pod['spec']['nodeName']}")
    servers = [c["name"] for c in containers if c.get("state", {}).get("running") and not c.get("started")]
    if servers:
        return Why(f"waits for `{servers[0]}` to be ready")
    return Why(f"its containers are being made on {pod['spec']['nodeName']}")


def _gpus(pod: Dict) -> int:
    """GPUs that a pod asks for."""
    asked = [c.get("resources", {}).get("limits", {}) for c in pod["spec"].get("containers", [])]
    return sum(int(v) for limits in asked for name, v in limits.items() if name.endswith("/gpu"))


def _latest_first(events: Sequence[Dict]) -> list[Dict]:
    return sorted(events, key=_when, reverse=True)


def _when(event: Dict) -> str:
    """Times are RFC 3339 in UTC, so that text compares as time; `eventTime` is what the newer API writes."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp", "")
    )
