"""What a scheduler wants to read on a Job and its pods: Kueue, Volcano, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment


def queued(job: dict[str, Any], environment: KubernetesEnvironment, stage: Stage | None) -> None:
    """Mark `job` for the environment's scheduler. `stage` is absent for the driver, which waits in no queue."""
    scheduler, template = environment.scheduler, job["spec"]["template"]
    if scheduler.kind == "default" or stage is None:
        if scheduler.kind != "kueue" and scheduler.priority:
            template["spec"]["priorityClassName"] = scheduler.priority
        return
    if scheduler.kind == "kueue":
        # Kueue owns `suspend` from here on: it lets the Job go when all its pods have room.
        job["spec"]["suspend"] = True
        labels = job["metadata"]["labels"]
        labels["kueue.x-k8s.io/queue-name"] = scheduler.queue
        if scheduler.priority:
            labels["kueue.x-k8s.io/priority-class"] = scheduler.priority
        if scheduler.topology and stage.placement.nodes > 1:
            name = f"kueue.x-k8s.io/podset-{scheduler.topology.mode}-topology"
            _annotate(template, {name: scheduler.topology.level})
        return
    template["spec"]["schedulerName"] = "volcano"
    if scheduler.priority:
        template["spec"]["priorityClassName"] = scheduler.priority
    _annotate(template, {"scheduling.k8s.io/group-name": job["metadata"]["name"]})


def pod_group(job: dict[str, Any], environment: KubernetesEnvironment, stage: Stage) -> list[dict[str, Any]]:
    """Volcano's word for pods that start together or not at all; nothing for other schedulers.

    Shards need not start together, the nodes of one training must.
    """
    scheduler = environment.scheduler
    if scheduler.kind != "volcano":
        return []
    spec: dict[str, Any] = {"minMember": stage.placement.nodes, "queue": scheduler.queue}
    if scheduler.priority:
        spec["priorityClassName"] = scheduler.priority
    meta = job["metadata"]
    return [
        {
            "apiVersion": "scheduling.volcano.sh/v1beta1",
            "kind": "PodGroup",
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "labels": dict(meta["labels"]),
            },
            "spec": spec,
        }
    ]


def _annotate(template: dict[str, Any], given: dict[str, str]) -> None:
    template["metadata"].setdefault("annotations", {}).update(given)
