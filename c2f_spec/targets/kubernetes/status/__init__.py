"""The status of a stage in a cluster, from its Job, pods, events and queue object. Pure, without a request.

`pending.py` has every sentence about what does not run yet, `termination.py` those about what ended. The object that is
nearest to running decides: the state of a container before the scheduler, the scheduler before the queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.base import Phase
from c2f_spec.targets.kubernetes.status import pending
from c2f_spec.targets.kubernetes.status.pending import Explanation
from c2f_spec.targets.kubernetes.status.termination import explain_job_end, explain_pod_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.targets.kubernetes.status.pending import StageObjects

Dict = dict[str, Any]


class StageStatus(NamedTuple):
    """The phase of a stage, and why it is in that phase."""

    phase: Phase
    explanation: Explanation


def stage_status(objects: StageObjects) -> StageStatus:
    """Return the status of the stage that has these objects."""
    job = objects.job
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
    pods = sorted(objects.pods, key=lambda p: str(p["metadata"].get("creationTimestamp", "")))
    if "Complete" in conditions:
        return StageStatus(Phase.DONE, Explanation(""))
    for kind in ("Failed", "FailureTarget"):
        if kind in conditions:
            end = explain_job_end(conditions[kind], pods)
            return StageStatus(Phase.FAILED, Explanation(end.text, end.remedy, stuck=True))
    if "deletionTimestamp" in job["metadata"]:
        return StageStatus(Phase.SAVING, Explanation("stopping"))
    active = [p for p in pods if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    if job["spec"].get("suspend"):
        if active:
            return StageStatus(Phase.SAVING, Explanation("suspended by the queue, saving before it stops"))
        return StageStatus(Phase.QUEUED, pending.explain_suspended_job(objects))
    if not active:
        if missing := pending.explain_missing_pod(objects):
            return StageStatus(Phase.QUEUED, missing)
        return StageStatus(Phase.STARTING, pending.explain_restart(pods))
    return _combine([_pod_status(pod, objects) for pod in active])


def _combine(statuses: Sequence[StageStatus]) -> StageStatus:
    """Return the status of several pods, which is that of the pod that is least far."""
    order = (Phase.SAVING, Phase.QUEUED, Phase.STARTING, Phase.RUNNING)
    least = min(statuses, key=lambda s: (order.index(s.phase), not s.explanation.stuck))
    if least.phase is Phase.RUNNING or all(s == least for s in statuses):
        return least
    running = sum(s.phase is Phase.RUNNING for s in statuses)
    text = f"{running} of {len(statuses)} pods running; another: {least.explanation.text}"
    return StageStatus(least.phase, least.explanation._replace(text=text))


def _pod_status(pod: Dict, objects: StageObjects) -> StageStatus:
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        end = explain_pod_end(pod)
        return StageStatus(
            Phase.SAVING, Explanation(f"saving before it stops{f' ({end.text})' if end else ''}")
        )
    scheduled: Dict = next((c for c in status.get("conditions", []) if c["type"] == "PodScheduled"), {})
    if scheduled.get("status") == "False" or not pod["spec"].get("nodeName"):
        return StageStatus(Phase.QUEUED, pending.explain_unscheduled_pod(pod, scheduled, objects))
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    if status.get("phase") == "Running" and not any("waiting" in c.get("state", {}) for c in containers):
        return StageStatus(Phase.RUNNING, Explanation(f"on node {pod['spec']['nodeName']}"))
    return StageStatus(Phase.STARTING, pending.explain_starting_pod(pod, containers, objects))
