"""A Job that runs again on a broken machine is moved to another one.

The Job controller makes the next pod from the same template, and nothing keeps it from the same node; so where a pod
failed by its machine while the Job goes on, the Job is replaced by one that avoids the node (`store/nodes.py`). What
the stage had saved it goes on from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.store import nodes
from c2f_spec.targets.kubernetes.answers import ApiError
from c2f_spec.targets.kubernetes.hardware import TAIL, Fault, fault
from c2f_spec.targets.kubernetes.render import names
from c2f_spec.targets.kubernetes.resources import JOBS, PODS

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.store.objects import Objects
    from c2f_spec.targets.kubernetes.client import Client


def move(client: Client, objects: Objects, stage: Stage, job: str, uid: str) -> bool:
    """Whether the Job was removed because one of its pods failed by its machine; the next one is `apply`'s to make."""
    labels = f"batch.kubernetes.io/job-name={job}"
    failed = [p for p in client.list(PODS, labels=labels) if p.get("status", {}).get("phase") == "Failed"]
    broken = [(pod, found) for pod in failed if (found := fault_of(client, pod)) is not None]
    if not broken:
        return False
    for pod, found in broken:
        meta, node = pod["metadata"], pod["spec"]["nodeName"]
        nodes.add_fault(
            objects, stage.kind, stage.key, pod=meta["uid"], node=node, what=found.what, line=found.line
        )
    client.delete(JOBS, job, uid=uid)
    nodes.forgive_fault(objects, stage.kind, stage.key)
    return True


def fault_of(client: Client, pod: dict[str, Any]) -> Fault | None:
    """The machine's fault that ended a pod, by the end of its log; nothing if its log is gone."""
    if not pod["spec"].get("nodeName"):
        return None
    try:
        return fault([*client.logs(pod["metadata"]["name"], container=names.STAGE_CONTAINER, tail=TAIL)])
    except ApiError:
        return None
