"""How the pods of one stage work together: alone, as shards, or as the nodes of one training.

Shards and nodes are pods of an Indexed Job; each knows its number by `JOB_COMPLETION_INDEX`, which the Job controller
sets. Shards are independent, and each has retries of its own. Nodes are not: when one dies the others fail with it,
each failure is counted, and all come back to the newest checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment, Pool
    from c2f_spec.targets.kubernetes.render.features import Features

PORT = 29400
"""Where the first node's torchrun waits for the others."""


def single(retries: int) -> dict[str, Any]:
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
            "selector": {"batch.kubernetes.io/job-name": name},
            "ports": [{"name": "rendezvous", "port": PORT, "protocol": "TCP"}],
        },
    }
