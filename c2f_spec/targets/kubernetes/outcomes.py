"""What the driver writes down of Jobs that ended: why one failed, if the stage could not say so, and that it may go.

A stage stores its record or its failure itself. One that was killed outright, that never started, or whose node broke
did not, so the end of its pod is read here, as long as Job and pod are there: a Job gets its time to live only when its
outcome is in the store. A fault of the hardware is forgiven and the next attempt avoids the node (`store/nodes.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.errors import MEANING, StageExit
from c2f_spec.hardware_faults import TAIL, Fault, fault, to_blame
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


def find_broken_pods(client: Client, job: str) -> list[tuple[dict[str, Any], Fault]]:
    """Pods of a Job that failed by their machine, as far as that can be told (`to_blame`)."""
    labels = f"batch.kubernetes.io/job-name={job}"
    failed = [p for p in client.list(PODS, labels=labels) if p.get("status", {}).get("phase") == "Failed"]
    return to_blame([(pod, found) for pod in failed if (found := find_fault(client, pod)) is not None])


def remove_broken_job(
    client: Client,
    store: ObjectStore,
    stage: Stage,
    job: str,
    uid: str,
    broken: list[tuple[dict[str, Any], Fault]],
) -> None:
    """Remove a Job and remember the machines that are to blame; the next one is the loop's to make."""
    for pod, found in broken:
        record_node_fault(store, stage, pod, found)
    # It stays until its pods have saved and gone: the next Job is not made beside a pod that still writes.
    client.delete(JOBS, job, uid=uid, foreground=True)
    records.retry_after_node_fault(store, stage.kind, stage.key)


def record_node_fault(store: ObjectStore, stage: Stage, pod: dict[str, Any], found: Fault) -> None:
    """Remember the machine of a pod, once."""
    uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
    records.add_node_fault(store, stage.kind, stage.key, pod=uid, node=node, what=found.what, line=found.line)


def find_fault(client: Client, pod: dict[str, Any]) -> Fault | None:
    """The machine's fault that ended a pod, by the end of its log; nothing if its log is gone.

    A stage that knew better (the spec, the data, memory) said so by its exit code, whatever else is in its log.
    """
    ending = explain_pod_end(pod)
    known = ending is None or (ending.code is not None and ending.code.permanent)
    if known or not pod["spec"].get("nodeName"):
        return None
    try:
        return fault([*client.logs(pod["metadata"]["name"], container=names.STAGE_CONTAINER, tail=TAIL)])
    except ApiError:
        return None


class OutcomeRecorder:
    """Sees to every Job of a target, each end and each failed pod once."""

    def __init__(self, target: Kubernetes, ttl: int) -> None:
        """`ttl` is the time to live of a Job whose outcome is stored, in seconds."""
        self.target, self.ttl = target, ttl
        self.stages = {stage.name: stage for stage in target.plan.stages}
        self._failed: dict[str, int] = {}
        """Failed pods that were looked at, by the uid of their Job."""

    def record_all(self) -> None:
        """What ended since the last time is written down; what runs on a broken machine is moved."""
        for name, held in sorted(self.target.jobs.items()):
            stage = self.stages[name.rpartition("-r")[0]]
            if held.ended and not held.deleting and not held.has_ttl:
                _store_outcome(self.target, stage, name, held)
                _let_go(self.target, name, self.ttl)
            elif not held.ended and not held.deleting and held.failed_pods > self._failed.get(held.uid, 0):
                self.target.guard()
                self._failed[held.uid] = held.failed_pods
                if broken := find_broken_pods(self.target.client, name):
                    self.target.jobs[name] = held._replace(
                        deleting=True
                    )  # before the watch says so, then that it is gone
                    remove_broken_job(self.target.client, self.target.store, stage, name, held.uid, broken)
                    self.target.store_state.refresh(self.target.store, stage)


def _store_outcome(target: Kubernetes, stage: Stage, name: str, held: JobState) -> None:
    """Nothing, if the store has a record, or a failure that nobody forgave."""
    target.store_state.refresh(target.store, stage)
    known = stage.key in target.store_state.done or target.store_state.failed(stage.key)
    if known or name != names.job_name(stage, target.store_state.retries[stage.key]):
        return
    target.guard()
    pods = sorted(
        target.client.list(PODS, labels=f"batch.kubernetes.io/job-name={name}"),
        key=lambda pod: str(pod["metadata"].get("creationTimestamp")),
    )
    failed = [pod for pod in pods if pod["status"].get("phase") == "Failed"]
    broken = find_broken_pods(target.client, name)
    if broken:
        for pod, fault in broken:
            record_node_fault(target.store, stage, pod, fault)
        records.retry_after_node_fault(target.store, stage.kind, stage.key)
    else:
        records.add_failure(target.store, stage.kind, stage.key, _failure(held, failed))
    target.store_state.refresh(target.store, stage)


def _failure(held: JobState, failed: list[dict[str, Any]]) -> dict[str, Any]:
    """As a stage would have stored it, with the Job that it is about."""
    if held.ended == "Complete":
        return {
            "code": int(StageExit.BUG),
            "class": MEANING[StageExit.BUG],
            "message": "its Job completed, and there is no record in the store",
            "hint": "was the record removed? `c2f-spec retry` runs the stage again",
            "job": held.uid,
        }
    ending = explain_job_end(held.condition or {}, failed)
    code = ending.code or StageExit.TRANSIENT
    return {
        "code": int(code),
        "class": MEANING[code],
        "message": ending.text,
        "hint": ending.remedy,
        "job": held.uid,
        **({"node": failed[-1]["spec"].get("nodeName", "")} if failed else {}),
    }


def _let_go(target: Kubernetes, name: str, ttl: int) -> None:
    target.guard()
    try:
        target.client.patch(JOBS, name, {"spec": {"ttlSecondsAfterFinished": ttl}})
    except NotFound:
        return  # somebody removed it
