"""Explain how a pod or a Job ended, by the exit codes of `StageExit` and by what Kubernetes adds to them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from c2f_spec.errors import MEANING, REMEDY, StageExit

OOM_KILLED = 137
"""128 + SIGKILL, which the kubelet reports with the reason `OOMKilled` when memory was the cause."""
EXIT_CODE = re.compile(r"failed with exit code (\d+)")
READ_LOG = "read the log: `c2f-spec logs`"

DISRUPTIONS = {
    "EvictionByEvictionAPI": "evicted, as for maintenance of the node (drain)",
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "PreemptionByKueueScheduler": "preempted by the queue",
    "DeletionByTaintManager": "evicted by a taint of its node, as when the node is not ready",
    "TerminationByKubelet": "terminated by its node, short of resources or shutting down",
    "DeletionByPodGC": "its node was removed",
}
"""Reasons of the condition `DisruptionTarget`."""


class Ending(NamedTuple):
    """How an attempt ended."""

    text: str
    code: StageExit | None
    """The exit code, where `StageExit` has it."""
    remedy: str = ""


def shorten(message: str, limit: int = 300) -> str:
    """Return a message of the cluster on one line of at most `limit` characters: webhooks may write pages."""
    line = " ".join(message.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def end_condition(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the condition `Complete` or `Failed` of a Job that has ended."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next(
        (c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None
    )


def explain_exit_code(code: int, reason: str = "") -> Ending:
    """Explain the exit code of a container; `reason` is what the kubelet says beside it."""
    if reason == "OOMKilled" or code == OOM_KILLED:
        return Ending(f"{MEANING[StageExit.MEMORY]} (killed)", StageExit.MEMORY, REMEDY[StageExit.MEMORY])
    if code in set(StageExit):
        known = StageExit(code)
        return Ending(MEANING[known], known, REMEDY.get(known, ""))
    if reason == "ContainerCannotRun" or code in (126, 127):
        return Ending("its command cannot run in this image", None, "correct `image` of the environment")
    return Ending(f"ended with exit code {code}", None, READ_LOG)


def explain_pod_end(pod: dict[str, Any]) -> Ending | None:
    """Explain how a pod ended: a disruption before its exit code, which only follows from the disruption."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            reason = condition.get("reason", "")
            return Ending(DISRUPTIONS.get(reason, f"disrupted ({reason})"), None)
    if status.get("reason") == "Evicted":
        return Ending(f"evicted by its node: {shorten(status.get('message', ''), 160)}", None)
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        ended = container.get("state", {}).get("terminated")
        if ended and ended["exitCode"] != 0:
            return explain_exit_code(ended["exitCode"], ended.get("reason", ""))
    return explain_exit_code(0) if status.get("phase") == "Succeeded" else None


def explain_job_end(condition: dict[str, Any], pods: list[dict[str, Any]]) -> Ending:
    """Explain why a Job failed for good, by its condition and the pods that still exist, oldest first."""
    reason, message = condition.get("reason", ""), str(condition.get("message", ""))
    endings = [e for e in map(explain_pod_end, pods) if e is not None and e.code is not StageExit.DONE]
    last = endings[-1] if endings else None
    if match := EXIT_CODE.search(message):
        return explain_exit_code(int(match[1]))
    if reason == "DeadlineExceeded":
        remedy = "raise `limits.deadline_seconds` of the environment, then run `c2f-spec retry`"
        return Ending("exceeded its deadline", None, remedy)
    if reason in ("BackoffLimitExceeded", "FailedIndexes", "MaxFailedIndexesExceeded"):
        tries = f"failed {len(endings)} times" if len(endings) > 1 else "failed as often as its retries allow"
        if last is None:
            return Ending(tries, None, READ_LOG)
        return Ending(f"{tries}, last: {last.text}", last.code, last.remedy)
    return last or Ending(shorten(f"{reason}: {message}"), None, READ_LOG)
