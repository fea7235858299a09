"""What a cluster has → the environment that it would be, with the questions that it cannot answer.

`look` reads: version, namespace, nodes, queues, names and keys of Secrets (never their values). `environment` is pure.
What the identity may not see is left at a default and asked about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.spec.cluster import VERSIONS
from c2f_spec.spec.quantities import amount, bytes_of, cores
from c2f_spec.targets.kubernetes.client import LOCAL_QUEUES, NAMESPACES, NODES, SECRETS, VOLCANO_QUEUES
from c2f_spec.targets.kubernetes.doctor.nodes import DRIVER_LABEL
from c2f_spec.targets.kubernetes.doctor.server import ENFORCE
from c2f_spec.targets.kubernetes.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.targets.kubernetes.client import Client, Resource

Dict = dict[str, Any]
PRODUCT = "nvidia.com/gpu.product"
MEMORY = "nvidia.com/gpu.memory"
SHARE = Fraction(95, 100)
"""Of what a node has for pods: DaemonSets that come later ask for something, too."""
ZEROS = "0" * 64


@dataclass(frozen=True, slots=True)
class ClusterContents:
    """Objects of the cluster; `None` where the identity may not look."""

    version: str
    namespace: str
    labels: dict[str, str] | None = None
    """Of the namespace."""
    nodes: tuple[Dict, ...] | None = None
    local_queues: tuple[str, ...] = ()
    volcano_queues: tuple[str, ...] = ()
    secrets: dict[str, tuple[str, tuple[str, ...]]] | None = None
    """Name to type and keys."""


class DiscoveredEnvironment(NamedTuple):
    """An environment as data, and what somebody must decide: section → question."""

    environment: Dict
    questions: dict[str, str]


def discover(client: Client) -> ClusterContents:
    """Read what can be read."""
    told = client.raw("/version")
    minor = re.match(r"\d+", str(told["minor"]))
    assert minor is not None, "the minor version of a server starts with a number"
    named = _visible(lambda: client.get(NAMESPACES, client.namespace))
    secrets = _visible(lambda: [*client.list(SECRETS)])
    nodes = _visible(lambda: [*client.list(NODES)])
    return ClusterContents(
        f"{told['major']}.{minor[0]}",
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


def _visible(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Forbidden:
        return None


def _names(client: Client, resource: Resource) -> tuple[str, ...]:
    """Names of a kind that the cluster may not know."""
    try:
        return tuple(item["metadata"]["name"] for item in client.list(resource))
    except (NotFound, Forbidden):
        return ()


@dataclass(slots=True)
class _Asked:
    """Questions as they come up."""

    of: dict[str, str] = field(default_factory=dict)


def build_environment(seen: ClusterContents) -> DiscoveredEnvironment:
    """Pure."""
    asked = _Asked()
    pools, cpu_pool = _pools(seen, asked)
    drivers = sorted(
        (str(v) for n in seen.nodes or () if (v := n["metadata"].get("labels", {}).get(DRIVER_LABEL))),
        key=lambda v: [int(x) for x in re.findall(r"\d+", v)],
    )
    found: Dict = {
        "c2f": "v1",
        "kind": "kubernetes",
        "kubernetes": _version(seen, asked),
        "namespace": seen.namespace,
    }
    if seen.labels is not None:
        found["pod_security"] = seen.labels.get(ENFORCE, "restricted")
        if ENFORCE not in seen.labels:
            asked.of["pod_security"] = "the namespace enforces nothing yet; k8s/base labels it `restricted`"
    asked.of["store"] = (
        "bucket and prefix, as pods see them; `access.endpoint` where it is not the provider's own"
    )
    found |= {"store": "s3://c2f/store", "access": {}, "secrets": {}}
    _secrets(seen, found, asked)
    asked.of["image"] = "build and push it (k8s/README.md), then write its digest"
    found["image"] = f"registry.example.org/c2f/runtime@sha256:{ZEROS}"
    pulls = [n for n, (kind, _) in (seen.secrets or {}).items() if kind == "kubernetes.io/dockerconfigjson"]
    if pulls:
        found["pull_secrets"] = sorted(pulls)
    found["scheduler"] = _scheduler(seen, asked)
    if drivers:
        found["nvidia_driver"] = drivers[0]
    return DiscoveredEnvironment({**found, "pools": pools, "cpu_pool": cpu_pool}, asked.of)


def _version(seen: ClusterContents, asked: _Asked) -> str:
    if seen.version in VERSIONS:
        return seen.version
    nearest = VERSIONS[-1] if _number(seen.version) > _number(VERSIONS[-1]) else VERSIONS[0]
    asked.of["kubernetes"] = (
        f"the server is {seen.version}, outside of {VERSIONS[0]} to {VERSIONS[-1]}, which are known here"
    )
    return nearest


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _scheduler(seen: ClusterContents, asked: _Asked) -> Dict:
    if seen.local_queues:
        if len(seen.local_queues) > 1:
            asked.of["scheduler"] = f"the namespace has the queues {', '.join(seen.local_queues)}"
        return {"kind": "kueue", "queue": seen.local_queues[0]}
    if seen.volcano_queues:
        asked.of["scheduler"] = f"Volcano has the queues {', '.join(seen.volcano_queues)}"
        return {"kind": "volcano", "queue": seen.volcano_queues[0]}
    asked.of["scheduler"] = "no queue was found: the cluster's own scheduler starts no stage of several nodes"
    return {"kind": "default"}


def _secrets(seen: ClusterContents, found: Dict, asked: _Asked) -> None:
    """The first Secret whose keys look like those of a store; `NAME` and `name` are one key here."""
    for name, (_, keys) in (seen.secrets or {}).items():
        known = {re.sub("[^a-z]", "", key.lower().removeprefix("aws")): key for key in keys}
        ours, secret = known.get("accesskeyid"), known.get("secretaccesskey")
        if ours and secret:
            found["secrets"] = {
                "store": {"name": name, "env": {"AWS_ACCESS_KEY_ID": ours, "AWS_SECRET_ACCESS_KEY": secret}}
            }
            found["access"] = {"secret": "store"}
            return
    why = "may not be listed by this identity" if seen.secrets is None else "have no keys of a store"
    asked.of["secrets"] = f"the namespace's Secrets {why}; leave both out where pods have a workload identity"


def _pools(seen: ClusterContents, asked: _Asked) -> tuple[Dict, str]:
    """Pools by model and number of GPUs, and the name of the one for stages without any."""
    if not seen.nodes:
        asked.of["pools"] = "nodes may not be listed by this identity: ask what they have"
        return {"cpu": {"gpus": 0, "cpu": "4", "memory": "16Gi", "ephemeral_storage": "50Gi"}}, "cpu"
    groups: dict[tuple[str, str, int], list[Dict]] = {}
    for node in seen.nodes:
        labels, (resource, gpus) = node["metadata"].get("labels", {}), _gpus(node)
        # A control plane's own node takes nobody's work.
        if (
            gpus
            or not any(k.startswith("node-role.kubernetes.io/control-plane") for k in labels)
            or len(seen.nodes) == 1
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
    asked.of["cpu_pool"] = "every node has GPUs: stages without GPUs run beside the others"
    return pools, first


def _gpus(node: Dict) -> tuple[str, int]:
    """The extended resource of a node's GPUs, and how many."""
    has = {k: int(v) for k, v in _allocatable(node).items() if k.endswith("/gpu")}
    return max(has.items(), key=lambda item: item[1], default=("", 0)) if any(has.values()) else ("", 0)


def _name(product: str, gpus: int, taken: Dict) -> str:
    word = (
        next((w for w in re.split(r"[^A-Za-z0-9]+", product) if re.search(r"\d", w)), "gpu").lower()
        if gpus
        else "cpu"
    )
    return (
        word
        if word not in taken
        else f"{word}-{gpus}"
        if f"{word}-{gpus}" not in taken
        else f"{word}-{len(taken)}"
    )


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
    """Here a pod asks for all that the pool says, so half a node lets two stages run on one."""
    return {"gpus": 0, **_common(nodes, Fraction(1, 2))}


def _common(nodes: list[Dict], share: Fraction) -> Dict:
    """Tolerations, and the part of the least node that one pod may ask for."""
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
    """A part in whole units, rounded down; nothing if there is not one."""
    number = int(amount(quantity) * share / unit)
    return f"{number}{suffix}" if number else ""


def _allocatable(node: Dict) -> dict[str, str]:
    return {k: str(v) for k, v in node.get("status", {}).get("allocatable", {}).items()}
