"""Record the outcome of Jobs that ended: why a stage failed, if it could not say so, and that its Job may go.

A stage stores its record or its failure itself. A stage that was killed outright, that never started, or whose node
broke did not, so the end of its pod is read here, while Job and pod exist: a Job gets its time to live only when its
outcome is in the store. A stage whose hardware failed is retried without a request, and its next attempt avoids the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.errors import MEANING, StageExit
from c2f_spec.hardware_faults import TAIL, Fault, faulty_machines, find_hardware_fault
from c2f_spec.store import records
from c2f_spec.targets.kubernetes.client import JOBS, PODS
from c2f_spec.targets.kubernetes.errors import ApiError, NotFound
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.status.termination import explain_job_end, explain_pod_end

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.target import JobState, Kubernetes

BrokenPods = list[tuple[dict[str, Any], Fault]]
"""Pods, each with the fault of its node."""


def find_broken_pods(client: Client, job: str) -> BrokenPods:
    """Return the pods of a Job that failed by a fault of their node, as far as `faulty_machines` can decide."""
    failed = _failed_pods(client, job)
    return faulty_machines([(pod, found) for pod in failed if (found := find_fault(client, pod)) is not None])


def find_fault(client: Client, pod: dict[str, Any]) -> Fault | None:
    """Return the hardware fault that ended a pod, by the end of its log; `None` if the log is gone.

    An exit code that is permanent (the spec, the data, memory) decides before the log.
    """
    ending = explain_pod_end(pod)
    known = ending is None or (ending.code is not None and ending.code.permanent)
    if known or not pod["spec"].get("nodeName"):
        return None
    try:
        return find_hardware_fault(
            [*client.logs(pod["metadata"]["name"], container=names.STAGE_CONTAINER, tail=TAIL)]
        )
    except ApiError:
        return None


def remove_broken_job(
    client: Client, store: ObjectStore, stage: Stage, job: str, uid: str, broken: BrokenPods
) -> None:
    """Delete a Job and record the faults of its nodes; the loop creates the next Job."""
    for pod, found in broken:
        record_node_fault(store, stage, pod, found)
    # In the foreground: the next Job is not created beside a pod that still writes.
    client.delete(JOBS, job, uid=uid, foreground=True)
    records.retry_after_node_fault(store, stage.kind, stage.key)


def record_node_fault(store: ObjectStore, stage: Stage, pod: dict[str, Any], found: Fault) -> None:
    """Record the node of a pod as broken; recording it twice makes one record."""
    uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
    records.add_node_fault(
        store, stage.kind, stage.key, pod=uid, node=node, what=found.description, line=found.line
    )


class OutcomeRecorder:
    """Records the outcomes of the Jobs of a target, each end and each failed pod once."""

    def __init__(self, target: Kubernetes, ttl: int) -> None:
        """`ttl` is the time to live of a Job whose outcome is stored, in seconds."""
        self.target, self.ttl = target, ttl
        self.stages = {stage.name: stage for stage in target.plan.stages}
        self._failed: dict[str, int] = {}
        """Number of failed pods that were examined, by the uid of their Job."""

    def record_all(self) -> None:
        """Record what ended since the last call; delete Jobs that run on a broken node, to move them."""
        target = self.target
        for name, job in sorted(target.jobs.items()):
            stage = self.stages[name.rpartition("-r")[0]]
            if job.ended and not job.deleting and not job.has_ttl:
                _store_outcome(target, stage, name, job)
                _set_ttl(target, name, self.ttl)
            elif not job.ended and not job.deleting and job.failed_pods > self._failed.get(job.uid, 0):
                target.guard()
                self._failed[job.uid] = job.failed_pods
                if broken := find_broken_pods(target.client, name):
                    # Marked before the watch reports the deletion, and then that it is gone.
                    target.jobs[name] = job._replace(deleting=True)
                    remove_broken_job(target.client, target.store, stage, name, job.uid, broken)
                    target.store_state.refresh(target.store, stage)


def _store_outcome(target: Kubernetes, stage: Stage, name: str, job: JobState) -> None:
    """Store a failure or a fault of a node, unless the store has a record or a failure without a retry."""
    store, state = target.store, target.store_state
    state.refresh(store, stage)
    if stage.key in state.done or state.failed(stage.key):
        return
    if name != names.job_name(stage, state.retries[stage.key]):
        return
    target.guard()
    failed = sorted(
        _failed_pods(target.client, name), key=lambda pod: str(pod["metadata"].get("creationTimestamp"))
    )
    broken = find_broken_pods(target.client, name)
    if broken:
        for pod, found in broken:
            record_node_fault(store, stage, pod, found)
        records.retry_after_node_fault(store, stage.kind, stage.key)
    else:
        records.add_failure(store, stage.kind, stage.key, _failure(job, failed))
    state.refresh(store, stage)


def _failed_pods(client: Client, job: str) -> list[dict[str, Any]]:
    pods = client.list(PODS, labels=f"{names.JOB_NAME}={job}")
    return [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]


def _failure(job: JobState, failed: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a failure as a stage would have stored it, with the uid of its Job."""
    if job.ended == "Complete":
        return {
            "code": int(StageExit.BUG),
            "class": MEANING[StageExit.BUG],
            "message": "its Job completed, and its record was not found in the store",
            "hint": "run `c2f-spec retry` if the record was removed",
            "job": job.uid,
        }
    ending = explain_job_end(job.condition or {}, failed)
    code = ending.code or StageExit.TRANSIENT
    return {
        "code": int(code),
        "class": MEANING[code],
        "message": ending.text,
        "hint": ending.remedy,
        "job": job.uid,
        **({"node": failed[-1]["spec"].get("nodeName", "")} if failed else {}),
    }


def _set_ttl(target: Kubernetes, name: str, ttl: int) -> None:
    target.guard()
    try:
        target.client.patch(JOBS, name, {"spec": {"ttlSecondsAfterFinished": ttl}})
    except NotFound:
        return  # it was deleted meanwhile
