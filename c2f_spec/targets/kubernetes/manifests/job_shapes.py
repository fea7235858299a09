"""How the pods of one stage work together: alone, as shards, or as the nodes of one training.

Shards and nodes are pods of an Indexed Job; each knows its number by `JOB_COMPLETION_INDEX`, which the Job controller
sets. Shards are independent, and each has retries of its own. Nodes are not: when one dies the others fail with it,
each failure is counted, and all come back to the newest checkpoint.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import StageExit
from c2f_spec.targets.kubernetes.manifests.names import JOB_NAME, STAGE_CONTAINER

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment, Pool


class Features(NamedTuple):
    """Each either has a way to do without, or is refused where it is needed."""

    pod_replacement_policy: bool
    """1.29. Without it a pod that is still ending may overlap its successor: the store takes one result all the same."""
    backoff_limit_per_index: bool
    """1.29. Without it the indexes of a sharded stage share one limit, as many times as large."""
    native_sidecars: bool
    """1.29. Without it there is no server beside a stage: a teacher of kind `vllm` is refused."""
    rules_without_conditions: bool
    """1.29. Before, the schema wants `onPodConditions` in every rule of a failure policy, if only empty."""


@cache
def features(version: str) -> Features:
    """Of `1.34`, say."""
    minor = int(version.partition(".")[2])
    since_29 = minor >= 29
    return Features(since_29, since_29, since_29, since_29)


# What a Job does when a pod ends: generated from the table of exit codes (`c2f_spec/errors.py`, DESIGN 7).
#
# The first rule that fits holds. A disruption (drain, preemption, node loss) comes first and costs nothing, whatever the
# process managed to say. Then the codes that mean the same end again, and the one of a stage that saved and stopped. The
# rest (storage, network, hardware, the unknown) is counted against `backoffLimit`.


KILLED = 128 + 9
"""Of a pod that no disruption ended: memory ran out, and `71` could not be said any more."""


def pod_failure_policy(able: Features) -> dict[str, Any]:
    """Needs `restartPolicy: Never`. `status` must be said for servers up to 1.34."""
    fatal = sorted({*(int(code) for code in StageExit if code.permanent), KILLED})
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [disrupted]},
            on_codes("FailJob", STAGE_CONTAINER, fatal, able),
            on_codes("Ignore", STAGE_CONTAINER, [int(StageExit.STOPPED)], able),
        ]
    }


def on_codes(action: str, container: str, values: list[int], able: Features) -> dict[str, Any]:
    """A rule for exit codes of one container."""
    named = {"containerName": container, "operator": "In", "values": values}
    conditions: dict[str, Any] = {} if able.rules_without_conditions else {"onPodConditions": []}
    return {"action": action, "onExitCodes": named, **conditions}


PORT = 29400
"""Where the first node's torchrun waits for the others."""


def single_pod(retries: int) -> dict[str, Any]:
    """Fields of the Job's `spec`: one pod at a time."""
    return {"backoffLimit": retries}


def sharded(shards: int, retries: int, able: Features) -> dict[str, Any]:
    """So many pods side by side, each with its own units of the manifest."""
    indexed = {"completionMode": "Indexed", "completions": shards, "parallelism": shards}
    if able.backoff_limit_per_index:
        # One shard that keeps failing must not cost the others: their units stay done, and the stage is not.
        return {**indexed, "backoffLimitPerIndex": retries}
    return {**indexed, "backoffLimit": retries * shards}


def several_nodes(nodes: int, retries: int) -> dict[str, Any]:
    """All nodes at once; a failure of one is a failure of each, so the limit is that of all together."""
    return {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimit": retries * nodes,
    }


def rendezvous(stage: Stage, name: str, environment: KubernetesEnvironment) -> dict[str, str]:
    """Where the nodes meet. `<job>-0.<service>` is stable: a pod of an Indexed Job has its index for a host name."""
    host = f"{name}-0.{name}.{environment.namespace}.svc"
    return {
        "C2F_NODES": str(stage.placement.nodes),
        "C2F_RENDEZVOUS": f"{host}:{PORT}",
        "C2F_RENDEZVOUS_ID": name,
    }


def networks(pool: Pool) -> dict[str, str]:
    """Annotations of a pod that is one of several nodes: Multus attaches it to the fast network."""
    asked = pool.rdma.networks if pool.rdma else None
    return {"k8s.v1.cni.cncf.io/networks": asked} if asked else {}


def headless_service(name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    """Gives each pod of the Job its name in DNS, ready or not: they meet before any of them is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_NAME: name},
            "ports": [{"name": "rendezvous", "port": PORT, "protocol": "TCP"}],
        },
    }


# What a scheduler wants to read on a Job and its pods: Kueue, Volcano, or nobody.


def add_scheduler_fields(
    job: dict[str, Any], environment: KubernetesEnvironment, stage: Stage | None
) -> None:
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
