"""How a pod or a Job ended → words, by the exit codes of `StageExit` and by what Kubernetes adds to them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from c2f_spec.errors import MEANING, REMEDY, StageExit
from c2f_spec.targets.kubernetes.status import bounded

OOM_KILLED = 137
"""128 + SIGKILL, which the kubelet reports with the reason `OOMKilled` when memory was the cause."""
EXIT_CODE = re.compile(r"failed with exit code (\d+)")

DISRUPTIONS = {
    "EvictionByEvictionAPI": "evicted, as for maintenance of the node",
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "PreemptionByKueueScheduler": "preempted by the queue",
    "DeletionByTaintManager": "its node was tainted, as when it is not ready",
    "TerminationByKubelet": "the node stopped it, short of resources or shutting down",
    "DeletionByPodGC": "its node is gone",
}
"""Reasons of the condition `DisruptionTarget`."""


class Ending(NamedTuple):
    """How an attempt ended."""

    words: str
    code: StageExit | None
    """Where it is one of ours."""
    way_out: str = ""


def of_code(code: int, reason: str = "") -> Ending:
    """An exit code, and the container's `reason`."""
    if reason == "OOMKilled" or code == OOM_KILLED:
        return Ending(f"{MEANING[StageExit.MEMORY]} (killed)", StageExit.MEMORY, REMEDY[StageExit.MEMORY])
    if code in set(StageExit):
        known = StageExit(code)
        return Ending(MEANING[known], known, REMEDY.get(known, ""))
    if reason == "ContainerCannotRun" or code in (126, 127):
        return Ending("its command cannot run in this image", None, "correct `image` of the environment")
    return Ending(f"ended with code {code}", None, "the log says more")


def of_pod(pod: dict[str, Any]) -> Ending | None:
    """How a pod ended: a disruption before its exit code, which is only what the disruption made of it."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            reason = condition.get("reason", "")
            return Ending(DISRUPTIONS.get(reason, f"disrupted ({reason})"), None)
    if status.get("reason") == "Evicted":
        return Ending(f"evicted by its node: {bounded(status.get('message', ''), 160)}", None)
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        ended = container.get("state", {}).get("terminated")
        if ended and ended["exitCode"] != 0:
            return of_code(ended["exitCode"], ended.get("reason", ""))
    return of_code(0) if status.get("phase") == "Succeeded" else None


def of_job(condition: dict[str, Any], pods: list[dict[str, Any]]) -> Ending:
    """Why a Job has failed for good, from its condition and the pods that are still there, oldest first."""
    reason, message = condition.get("reason", ""), str(condition.get("message", ""))
    endings = [e for e in map(of_pod, pods) if e is not None and e.code is not StageExit.DONE]
    last = endings[-1] if endings else None
    if found := EXIT_CODE.search(message):
        return of_code(int(found[1]))
    if reason == "DeadlineExceeded":
        return Ending("took longer than the limit it was given", None, "raise the limit, then `retry`")
    if reason in ("BackoffLimitExceeded", "FailedIndexes", "MaxFailedIndexesExceeded"):
        tries = f"failed {len(endings)} times" if len(endings) > 1 else "failed as often as allowed"
        if last is None:
            return Ending(tries, None, "the log says why")
        return Ending(f"{tries}, last: {last.words}", last.code, last.way_out)
    return last or Ending(bounded(f"{reason}: {message}"), None, "the log says more")
