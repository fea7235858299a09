"""A Job that runs again on a broken machine is moved to another one.

The Job controller makes the next pod from the same template, and nothing keeps it from the same node; so where a pod
failed by its machine while the Job goes on, the Job is replaced by one that avoids the node (`store/nodes.py`). What
the stage had saved it goes on from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.hardware import TAIL, Fault, fault, to_blame
from c2f_spec.store import nodes
from c2f_spec.targets.kubernetes.answers import ApiError
from c2f_spec.targets.kubernetes.render import names
from c2f_spec.targets.kubernetes.resources import JOBS, PODS
from c2f_spec.targets.kubernetes.words.ending import of_pod

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.store.objects import Objects
    from c2f_spec.targets.kubernetes.client import Client


def broken_pods(client: Client, job: str) -> list[tuple[dict[str, Any], Fault]]:
    """Pods of a Job that failed by their machine, as far as that can be told (`to_blame`)."""
    labels = f"batch.kubernetes.io/job-name={job}"
    failed = [p for p in client.list(PODS, labels=labels) if p.get("status", {}).get("phase") == "Failed"]
    return to_blame([(pod, found) for pod in failed if (found := fault_of(client, pod)) is not None])


def move(
    client: Client,
    objects: Objects,
    stage: Stage,
    job: str,
    uid: str,
    broken: list[tuple[dict[str, Any], Fault]],
) -> None:
    """Remove a Job and remember the machines that are to blame; the next one is the loop's to make."""
    for pod, found in broken:
        blame_node(objects, stage, pod, found)
    # It stays until its pods have saved and gone: the next Job is not made beside a pod that still writes.
    client.delete(JOBS, job, uid=uid, foreground=True)
    nodes.forgive_fault(objects, stage.kind, stage.key)


def blame_node(objects: Objects, stage: Stage, pod: dict[str, Any], found: Fault) -> None:
    """Remember the machine of a pod, once."""
    uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
    nodes.add_fault(objects, stage.kind, stage.key, pod=uid, node=node, what=found.what, line=found.line)


def fault_of(client: Client, pod: dict[str, Any]) -> Fault | None:
    """The machine's fault that ended a pod, by the end of its log; nothing if its log is gone.

    A stage that knew better (the spec, the data, memory) said so by its exit code, whatever else is in its log.
    """
    ending = of_pod(pod)
    known = ending is None or (ending.code is not None and ending.code.permanent)
    if known or not pod["spec"].get("nodeName"):
        return None
    try:
        return fault([*client.logs(pod["metadata"]["name"], container=names.STAGE_CONTAINER, tail=TAIL)])
    except ApiError:
        return None
