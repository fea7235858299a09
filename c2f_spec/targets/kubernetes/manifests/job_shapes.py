"""Build the fields of a Job that decide how its pods work together, what a failure means, and who schedules them.

A stage is one pod, several shards, or the nodes of one training. Shards and nodes are pods of an Indexed Job; each knows its number by `JOB_COMPLETION_INDEX`, which the Job controller
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
    """Features of a version of Kubernetes. Without one, a Job is built differently, or refused."""

    pod_replacement_policy: bool
    """1.29. Without it a pod that is still terminating may overlap its successor; the store accepts one result only."""
    backoff_limit_per_index: bool
    """1.29. Without it the shards of a stage share one limit, multiplied by their number."""
    rules_without_conditions: bool
    """1.29. Before, the schema requires `onPodConditions` in every rule of a failure policy, even if empty."""


@cache
def features(version: str) -> Features:
    """Return the features of a version such as `1.34`."""
    minor = int(version.partition(".")[2])
    since_29 = minor >= 29
    return Features(since_29, since_29, since_29)


KILLED = 128 + 9
"""Exit code of a pod that was killed without a disruption: memory ran out before it could end with 71."""


def pod_failure_policy(able: Features) -> dict[str, Any]:
    """Return what a Job does when a pod ends, by the exit codes of `c2f_spec/errors.py` (DESIGN 7).

    The first rule that matches holds. A disruption (drain, preemption, node loss) comes first and is not counted,
    whatever the exit code. Then come codes with which the stage would end again, and the code of a stage that saved and
    stopped. The rest (storage, network, hardware, unknown) counts against `backoffLimit`. Needs
    `restartPolicy: Never`. Servers up to 1.34 require `status` in the condition.
    """
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
    """Return a rule for exit codes of one container."""
    named = {"containerName": container, "operator": "In", "values": values}
    conditions: dict[str, Any] = {} if able.rules_without_conditions else {"onPodConditions": []}
    return {"action": action, "onExitCodes": named, **conditions}


PORT = 29400
"""Port at which the first node's torchrun waits for the others."""


def single_pod(retries: int) -> dict[str, Any]:
    """Return fields of a Job's `spec` for one pod at a time."""
    return {"backoffLimit": retries}


def sharded(shards: int, retries: int, able: Features) -> dict[str, Any]:
    """Return fields for `shards` pods side by side, each with its own units of the manifest."""
    indexed = {"completionMode": "Indexed", "completions": shards, "parallelism": shards}
    if able.backoff_limit_per_index:
        # One shard that keeps failing must not cost the others: their units stay done, and the stage is not.
        return {**indexed, "backoffLimitPerIndex": retries}
    return {**indexed, "backoffLimit": retries * shards}


def several_nodes(nodes: int, retries: int) -> dict[str, Any]:
    """Return fields for all nodes at once; a failure of one is a failure of each, so the limit is multiplied."""
    return {
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "backoffLimit": retries * nodes,
    }


def rendezvous(stage: Stage, name: str, environment: KubernetesEnvironment) -> dict[str, str]:
    """Return the variables by which nodes meet. `<job>-0.<service>` is stable: the host name of a pod ends with its index."""
    host = f"{name}-0.{name}.{environment.namespace}.svc"
    return {
        "C2F_NODES": str(stage.placement.nodes),
        "C2F_RENDEZVOUS": f"{host}:{PORT}",
        "C2F_RENDEZVOUS_ID": name,
    }


def network_annotations(pool: Pool) -> dict[str, str]:
    """Return annotations by which Multus attaches a pod, one of several nodes, to the fast network."""
    networks = pool.rdma.networks if pool.rdma else None
    return {"k8s.v1.cni.cncf.io/networks": networks} if networks else {}


def headless_service(name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return a Service that gives each pod of a Job its name in DNS, ready or not: they meet before they are ready."""
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
    """Return Volcano's object for pods that start together or not at all; nothing for other schedulers.

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


def _annotate(template: dict[str, Any], annotations: dict[str, str]) -> None:
    template["metadata"].setdefault("annotations", {}).update(annotations)
