"""Write an environment from what a cluster has, with the questions that the cluster cannot answer.

`discover` reads version, namespace, nodes, queues, and names and keys of Secrets (never their values).
`build_environment` is pure. What the identity may not read is left at a default, with a question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.spec.cluster import VERSIONS
from c2f_spec.spec.quantities import amount, bytes_of, cores
from c2f_spec.targets.kubernetes.client import LOCAL_QUEUES, NAMESPACES, NODES, SECRETS, VOLCANO_QUEUES
from c2f_spec.targets.kubernetes.doctor.cluster import DRIVER_LABEL, ENFORCE
from c2f_spec.targets.kubernetes.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.targets.kubernetes.client import Client, Resource

Dict = dict[str, Any]
PRODUCT = "nvidia.com/gpu.product"
MEMORY = "nvidia.com/gpu.memory"
SHARE = Fraction(95, 100)
"""Part of a node's resources that one pod may request: DaemonSets that come later request some, too."""
ZEROS = "0" * 64


@dataclass(frozen=True, slots=True)
class ClusterContents:
    """Objects of the cluster; `None` where the identity may not read them."""

    version: str
    namespace: str
    labels: dict[str, str] | None = None
    """Labels of the namespace."""
    nodes: tuple[Dict, ...] | None = None
    local_queues: tuple[str, ...] = ()
    volcano_queues: tuple[str, ...] = ()
    secrets: dict[str, tuple[str, tuple[str, ...]]] | None = None
    """Type and keys of each Secret, by name."""


class DiscoveredEnvironment(NamedTuple):
    """An environment as data, and what a person must decide."""

    environment: Dict
    questions: dict[str, str]
    """Question by section."""


def discover(client: Client) -> ClusterContents:
    """Read what this identity may read."""
    version = client.raw("/version")
    minor = re.match(r"\d+", str(version["minor"]))
    assert minor is not None, "the minor version of a server starts with a number"
    named = _if_allowed(lambda: client.get(NAMESPACES, client.namespace))
    secrets = _if_allowed(lambda: [*client.list(SECRETS)])
    nodes = _if_allowed(lambda: [*client.list(NODES)])
    return ClusterContents(
        f"{version['major']}.{minor[0]}",
        client.namespace,
        named["metadata"].get("labels", {}) if named else None,
        None if nodes is None else tuple(nodes),
        _names(client, LOCAL_QUEUES),
        _names(client, VOLCANO_QUEUES),
        None
        if secrets is None
        else {
            s["metadata"]["name"]: (s.get("type", ""), tuple(sorted(s.get("data") or {}))) for s in secrets
        },
    )


def _if_allowed(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Forbidden:
        return None


def _names(client: Client, resource: Resource) -> tuple[str, ...]:
    """Return the names of a kind that the cluster may not have."""
    try:
        return tuple(item["metadata"]["name"] for item in client.list(resource))
    except (NotFound, Forbidden):
        return ()


def build_environment(contents: ClusterContents) -> DiscoveredEnvironment:
    """Return the environment of a cluster. Pure."""
    questions: dict[str, str] = {}
    pools, cpu_pool = _pools(contents, questions)
    drivers = sorted(
        (str(v) for n in contents.nodes or () if (v := n["metadata"].get("labels", {}).get(DRIVER_LABEL))),
        key=lambda v: [int(x) for x in re.findall(r"\d+", v)],
    )
    found: Dict = {
        "c2f": "v1",
        "kind": "kubernetes",
        "kubernetes": _version(contents, questions),
        "namespace": contents.namespace,
    }
    if contents.labels is not None:
        found["pod_security"] = contents.labels.get(ENFORCE, "restricted")
        if ENFORCE not in contents.labels:
            questions["pod_security"] = (
                "the namespace enforces no level; k8s/overlays/namespace labels it `restricted`"
            )
    questions["store"] = (
        "bucket and prefix, as pods see them; `access.endpoint` where it is not the provider's own"
    )
    found |= {"store": "s3://c2f/store", "access": {}, "secrets": {}}
    _secrets(contents, found, questions)
    questions["image"] = "build and push it (k8s/README.md), then write its digest"
    found["image"] = f"registry.example.org/c2f/runtime@sha256:{ZEROS}"
    pulls = [
        n for n, (kind, _) in (contents.secrets or {}).items() if kind == "kubernetes.io/dockerconfigjson"
    ]
    if pulls:
        found["pull_secrets"] = sorted(pulls)
    found["scheduler"] = _scheduler(contents, questions)
    if drivers:
        found["nvidia_driver"] = drivers[0]
    return DiscoveredEnvironment({**found, "pools": pools, "cpu_pool": cpu_pool}, questions)


def _version(contents: ClusterContents, questions: dict[str, str]) -> str:
    if contents.version in VERSIONS:
        return contents.version
    nearest = VERSIONS[-1] if _number(contents.version) > _number(VERSIONS[-1]) else VERSIONS[0]
    questions["kubernetes"] = (
        f"the server is {contents.version}, outside of {VERSIONS[0]} to {VERSIONS[-1]}, which are known here"
    )
    return nearest


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _scheduler(contents: ClusterContents, questions: dict[str, str]) -> Dict:
    if contents.local_queues:
        if len(contents.local_queues) > 1:
            questions["scheduler"] = f"the namespace has the queues {', '.join(contents.local_queues)}"
        return {"kind": "kueue", "queue": contents.local_queues[0]}
    if contents.volcano_queues:
        questions["scheduler"] = f"Volcano has the queues {', '.join(contents.volcano_queues)}"
        return {"kind": "volcano", "queue": contents.volcano_queues[0]}
    questions["scheduler"] = (
        "no queue was found: the cluster's own scheduler starts no stage of several nodes"
    )
    return {"kind": "default"}


def _secrets(contents: ClusterContents, found: Dict, questions: dict[str, str]) -> None:
    """Set the first Secret whose keys look like those of a store, in any spelling."""
    for name, (_, keys) in (contents.secrets or {}).items():
        known = {re.sub("[^a-z]", "", key.lower().removeprefix("aws")): key for key in keys}
        ours, secret = known.get("accesskeyid"), known.get("secretaccesskey")
        if ours and secret:
            found["secrets"] = {
                "store": {"name": name, "env": {"AWS_ACCESS_KEY_ID": ours, "AWS_SECRET_ACCESS_KEY": secret}}
            }
            found["access"] = {"secret": "store"}
            return
    why = "may not be listed by this identity" if contents.secrets is None else "have no keys of a store"
    questions["secrets"] = (
        f"the namespace's Secrets {why}; leave both out where pods have a workload identity"
    )


def _pools(contents: ClusterContents, questions: dict[str, str]) -> tuple[Dict, str]:
    """Return pools by model and number of GPUs, and the name of the pool for stages without GPUs."""
    if not contents.nodes:
        questions["pools"] = "nodes may not be listed by this identity: ask the administrator what they have"
        return {"cpu": {"gpus": 0, "cpu": "4", "memory": "16Gi", "ephemeral_storage": "50Gi"}}, "cpu"
    groups: dict[tuple[str, str, int], list[Dict]] = {}
    for node in contents.nodes:
        labels, (resource, gpus) = node["metadata"].get("labels", {}), _gpus(node)
        # A node of the control plane runs no stages.
        if (
            gpus
            or not any(k.startswith("node-role.kubernetes.io/control-plane") for k in labels)
            or len(contents.nodes) == 1
        ):
            groups.setdefault((labels.get(PRODUCT, ""), resource, gpus), []).append(node)
    pools: Dict = {}
    for (product, resource, gpus), nodes in sorted(groups.items(), key=lambda g: -g[0][2]):
        name = _name(product, gpus, pools)
        pools[name] = _gpu_pool(product, resource, gpus, nodes) if gpus else _cpu_pool(nodes)
    plain = [name for name, pool in pools.items() if not pool["gpus"]]
    if plain:
        return pools, plain[0]
    first = next(iter(pools))
    questions["cpu_pool"] = "every node has GPUs: stages without GPUs run beside the others"
    return pools, first


def _gpus(node: Dict) -> tuple[str, int]:
    """Return the extended resource of a node's GPUs, and their number."""
    has = {k: int(v) for k, v in _allocatable(node).items() if k.endswith("/gpu")}
    return max(has.items(), key=lambda item: item[1], default=("", 0)) if any(has.values()) else ("", 0)


def _name(product: str, gpus: int, taken: Dict) -> str:
    """Return a name for a pool that is not taken: a word of the product with a digit, `gpu` or `cpu`."""
    words = [w.lower() for w in re.split(r"[^A-Za-z0-9]+", product) if re.search(r"\d", w)]
    word = (words or ["gpu"])[0] if gpus else "cpu"
    names = (word, f"{word}-{gpus}", *(f"{word}-{n}" for n in range(len(taken), 2 * len(taken) + 1)))
    return next(name for name in names if name not in taken)


def _gpu_pool(product: str, resource: str, gpus: int, nodes: list[Dict]) -> Dict:
    pool: Dict = {"gpus": gpus}
    labels = nodes[0]["metadata"].get("labels", {})
    if product:
        pool["gpu"] = product.removeprefix("NVIDIA-")
    if str(labels.get(MEMORY, "")).isdigit():
        pool["gpu_memory"] = f"{int(labels[MEMORY]) // 1024}Gi"
    pool |= {"resource": resource, "nodes": len(nodes)}
    if product:
        pool["node_selector"] = {PRODUCT: product}
    rdma = sorted(k for k in _allocatable(nodes[0]) if k.startswith("rdma/"))
    pool |= _common(nodes, SHARE) | ({"rdma": {"resource": rdma[0], "count": 1}} if rdma else {})
    return pool


def _cpu_pool(nodes: list[Dict]) -> Dict:
    """Return a pool whose pods request half a node, so that two stages run on one."""
    return {"gpus": 0, **_common(nodes, Fraction(1, 2))}


def _common(nodes: list[Dict], share: Fraction) -> Dict:
    """Return tolerations, and the part of the smallest node that one pod may request."""
    taints = {
        (t["key"], t["effect"])
        for n in nodes
        for t in n["spec"].get("taints", ())
        if "unschedulable" not in t["key"] and t["effect"] == "NoSchedule"
    }
    least = {
        r: min((_allocatable(n).get(r, "0") for n in nodes), key=amount)
        for r in ("cpu", "memory", "ephemeral-storage")
    }
    tolerations = [{"key": k, "operator": "Exists", "effect": e} for k, e in sorted(taints)]
    return ({"tolerations": tolerations} if tolerations else {}) | {
        "cpu": _whole(least["cpu"], share, 1, "") or cores(least["cpu"], share),
        "memory": _gibibytes(least["memory"], share),
        "ephemeral_storage": _gibibytes(least["ephemeral-storage"], share),
    }


def _gibibytes(quantity: str, share: Fraction) -> str:
    return _whole(quantity, share, 2**30, "Gi") or bytes_of(quantity, share)


def _whole(quantity: str, share: Fraction, unit: int, suffix: str) -> str:
    """Return a part in whole units, rounded down; empty if that is zero."""
    number = int(amount(quantity) * share / unit)
    return f"{number}{suffix}" if number else ""


def _allocatable(node: Dict) -> dict[str, str]:
    return {k: str(v) for k, v in node.get("status", {}).get("allocatable", {}).items()}
