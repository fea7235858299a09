"""Objects of Kubernetes and kubeconfigs for tests, each in a line or two."""

from __future__ import annotations

import json

from tests.conftest import REPOSITORY

KUEUE = "kueue.x-k8s.io/v1beta2"
API_VERSIONS = {
    "ClusterQueue": KUEUE,
    "Job": "batch/v1",
    "Lease": "coordination.k8s.io/v1",
    "LocalQueue": KUEUE,
    "PriorityClass": "scheduling.k8s.io/v1",
    "Queue": "scheduling.volcano.sh/v1beta1",
    "Workload": KUEUE,
}


def manifest(kind, name, *, labels=None, annotations=None, owners=(), **fields):
    """Return an object of a kind; `fields` stand beside its metadata, `owners` are UIDs."""
    metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    if owners:
        metadata["ownerReferences"] = [{"uid": uid} for uid in owners]
    return {"apiVersion": API_VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, **fields}


def kubeconfig(server, *, user=None, namespace=None, **cluster):
    """Return a kubeconfig with one context; `user` and `cluster` are the fields of their entries."""
    context = {"cluster": "k", "user": "u", **({"namespace": namespace} if namespace else {})}
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": context}],
        "clusters": [{"name": "k", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def write_kubeconfig(folder, server, **options):
    """Write `kubeconfig` into a folder; return the variables that lead the command to it."""
    path = folder / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(server, **options)))
    return {"KUBECONFIG": str(path), "PYTHONPATH": str(REPOSITORY)}
