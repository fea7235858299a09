"""Check the server, the namespace and the nodes of each pool: versions, clock, Pod Security level, GPUs, drivers."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.spec.quantities import amount
from c2f_spec.targets.kubernetes.client import NAMESPACES, NODES

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment, Pool, Toleration
    from c2f_spec.targets.kubernetes.client import Client


LEVELS = ("privileged", "baseline", "restricted")
"""Levels of Pod Security, from loose to strict."""
ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: the level that it enforces."""
SKEW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """An environment, and a client in its namespace."""

    environment: KubernetesEnvironment
    client: Client


def check_version(site: Site) -> list[HealthCheck]:
    """Check that the server is no older than the version that objects are rendered for; a newer one accepts them."""
    version = site.client.raw("/version")
    minor = int(re.match(r"\d+", str(version["minor"]))[0])  # type: ignore[index]  # a provider may write `33+`
    served, rendered = f"{version['major']}.{minor}", site.environment.kubernetes
    if (int(version["major"]), minor) < tuple(map(int, rendered.split("."))):
        fix = f'set `kubernetes: "{served}"` in the environment'
        return [error("server version", f"{served}, older than {rendered} of the environment", fix)]
    newer = f", rendered for {rendered}" if served != rendered else ""
    return [ok("server version", f"{version.get('gitVersion', served)}{newer}")]


def check_clock(site: Site) -> list[HealthCheck]:
    """Compare this clock with the Date of an answer, which counts whole seconds, less half of its way."""
    before = time.time()
    date = site.client.transport.send("GET", "/version").headers.get("Date")
    after = time.time()
    if date is None:
        return [warning("clock", "the server sends no date", "compare `date` on this machine and on a node")]
    skew = abs(parsedate_to_datetime(date).timestamp() + 0.5 - (before + after) / 2)
    if skew > SKEW_SECONDS:
        fix = "set the clocks by NTP: leases and signatures depend on them"
        return [warning("clock", f"differs from the clock of the server by {skew:.0f} s", fix)]
    return [ok("clock", f"agrees with the clock of the server to {max(1.0, skew):.0f} s")]


def check_namespace(site: Site) -> list[HealthCheck]:
    """Check that the namespace exists, and enforces no more than the environment's pods keep."""
    name, rendered = site.environment.namespace, site.environment.pod_security
    namespace, what = site.client.get(NAMESPACES, name), f"namespace {name}"
    if namespace is None:
        return [error(what, "not found", "run `kubectl apply -k k8s/overlays/namespace`")]
    enforced = namespace["metadata"].get("labels", {}).get(ENFORCE)
    if enforced is None:
        fix = f"run `kubectl label namespace {name} {ENFORCE}={rendered}`"
        return [warning(what, "enforces no Pod Security level", fix)]
    if LEVELS.index(enforced) > LEVELS.index(rendered):
        detail = (
            f"enforces Pod Security `{enforced}` and would forbid pods that are rendered for `{rendered}`"
        )
        fix = f"set `pod_security: {enforced}` in the environment, or label the namespace {rendered}"
        return [error(what, detail, fix)]
    return [ok(what, f"enforces Pod Security `{enforced}`")]


DRIVER_LABEL = "nvidia.com/cuda.driver-version.full"
"""Label of a node by GPU feature discovery: the version of its NVIDIA driver."""


def check_pools(site: Site) -> list[HealthCheck]:
    """Return some findings for each pool."""
    return [f for name, pool in site.environment.pools.items() for f in _check_pool(site, name, pool)]


def _check_pool(site: Site, name: str, pool: Pool) -> list[HealthCheck]:
    what = f"pool {name}"
    selector = ",".join(f"{k}={v}" for k, v in pool.node_selector.items())
    nodes = list(site.client.list(NODES, labels=selector))
    if not nodes:
        fix = f"correct `pools.{name}.node_selector`; `kubectl get nodes --show-labels` lists the labels"
        return [error(what, f"no node has the labels {selector or '(none)'}", fix)]
    findings = _check_size(what, name, pool, nodes)
    usable = [n for n in nodes if not n["spec"].get("unschedulable") and not _untolerated(n, pool)]
    if not usable:
        taints = sorted({t for n in nodes for t in _untolerated(n, pool)})
        why = f"tainted: {', '.join(taints)}" if taints else "closed for maintenance (cordoned)"
        fix = f"add tolerations to `pools.{name}`, or uncordon them"
        return [*findings, error(what, f"all {len(nodes)} nodes are {why}", fix)]
    if pool.nodes and len(usable) < pool.nodes:
        detail = f"{len(usable)} nodes accept pods, and the environment says {pool.nodes}"
        findings.append(warning(what, detail, f"correct `pools.{name}.nodes`"))
    findings += _check_drivers(site, what, pool, usable)
    if not findings:
        gpus = f" with {pool.gpus} {pool.resource} each" if pool.gpus else ""
        findings.append(ok(what, f"{len(usable)} nodes{gpus}"))
    return findings


def _check_size(what: str, name: str, pool: Pool, nodes: list[dict[str, Any]]) -> list[HealthCheck]:
    """Compare what the pool says of a node with the largest node: a pod that requests more is never scheduled."""
    requested = {"cpu": pool.cpu, "memory": pool.memory, "ephemeral-storage": pool.ephemeral_storage}
    if pool.gpus:
        requested[pool.resource] = str(pool.gpus)
    findings = []
    for resource, quantity in requested.items():
        has = [str(n.get("status", {}).get("allocatable", {}).get(resource, "0")) for n in nodes]
        most = max(has, key=amount)
        if amount(quantity) > amount(most):
            field = "gpus" if resource == pool.resource else resource.replace("-", "_")
            detail = f"requests {quantity} {resource} of a node, and no node has more than {most}"
            findings.append(error(what, detail, f"lower `pools.{name}.{field}`"))
    return findings


def _untolerated(node: dict[str, Any], pool: Pool) -> list[str]:
    """Return the taints of a node that keep the pool's pods away."""
    taints = [t for t in node["spec"].get("taints", ()) if t.get("effect") != "PreferNoSchedule"]
    return [t["key"] for t in taints if not any(tolerates(x, t) for x in pool.tolerations)]


def tolerates(toleration: Toleration, taint: dict[str, Any]) -> bool:
    """Compare a toleration with a taint as the scheduler does."""
    if toleration.effect not in (None, taint.get("effect")):
        return False
    if toleration.key is None:
        return toleration.operator == "Exists"
    same = toleration.key == taint["key"]
    return same and (toleration.operator == "Exists" or (toleration.value or "") == taint.get("value", ""))


def _check_drivers(site: Site, what: str, pool: Pool, nodes: list[dict[str, Any]]) -> list[HealthCheck]:
    oldest = site.environment.nvidia_driver
    if not pool.gpus or oldest is None:
        return []
    versions = {str(v) for n in nodes if (v := n["metadata"].get("labels", {}).get(DRIVER_LABEL))}
    older = sorted(v for v in versions if _numbers(v) < _numbers(oldest))
    if not older:
        return []
    detail = f"a node has the NVIDIA driver {older[0]}, older than `nvidia_driver`"
    return [error(what, detail, f'set `nvidia_driver: "{older[0]}"`')]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
