"""Has each pool nodes, and have they what the environment says?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.health import Finding, error, ok, warning
from c2f_spec.spec.quantities import amount
from c2f_spec.targets.kubernetes.client import NODES

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import Pool, Toleration
    from c2f_spec.targets.kubernetes.doctor import Site

DRIVER_LABEL = "nvidia.com/cuda.driver-version.full"
"""Of GPU feature discovery."""


def pools(site: Site) -> list[Finding]:
    """A few lines a pool."""
    return [f for name, pool in site.environment.pools.items() for f in _pool(site, name, pool)]


def _pool(site: Site, name: str, pool: Pool) -> list[Finding]:
    what = f"pool {name}"
    selector = ",".join(f"{k}={v}" for k, v in pool.node_selector.items())
    nodes = list(site.client.list(NODES, labels=selector))
    if not nodes:
        shown = f"kubectl get nodes -l {selector}" if selector else "kubectl get nodes"
        return [
            error(
                what,
                f"no node has the labels {selector or '(none)'}",
                f"correct `pools.{name}.node_selector`: {shown}",
            )
        ]
    found = _fits(what, name, pool, nodes)
    usable = [n for n in nodes if not n["spec"].get("unschedulable") and not _untolerated(n, pool)]
    if not usable:
        taints = sorted({t for n in nodes for t in _untolerated(n, pool)})
        why = f"tainted: {', '.join(taints)}" if taints else "closed for maintenance (cordoned)"
        return [
            *found,
            error(
                what,
                f"all {len(nodes)} nodes are {why}",
                f"add tolerations to `pools.{name}`, or uncordon them",
            ),
        ]
    if pool.nodes and len(usable) < pool.nodes:
        found.append(
            warning(
                what,
                f"{len(usable)} nodes take pods, {pool.nodes} are said to",
                f"correct `pools.{name}.nodes`",
            )
        )
    found += _drivers(site, what, pool, usable)
    if not found:
        gpus = f" with {pool.gpus} {pool.resource} each" if pool.gpus else ""
        found.append(ok(what, f"{len(usable)} nodes{gpus}"))
    return found


def _fits(what: str, name: str, pool: Pool, nodes: list[dict[str, Any]]) -> list[Finding]:
    """What the pool says of a node against the best node: a pod that asks for more waits for ever."""
    asked = {"cpu": pool.cpu, "memory": pool.memory, "ephemeral-storage": pool.ephemeral_storage}
    if pool.gpus:
        asked[pool.resource] = str(pool.gpus)
    found = []
    for resource, quantity in asked.items():
        most = max((amount_of(n, resource) for n in nodes), default=0)
        if amount(quantity) > most:
            field = "gpus" if resource == pool.resource else resource.replace("-", "_")
            has = next(
                (a for n in nodes if amount_of(n, resource) == most for a in [_allocatable(n, resource)]), "0"
            )
            found.append(
                error(
                    what,
                    f"asks for {quantity} {resource} of a node, and none has more than {has}",
                    f"lower `pools.{name}.{field}`",
                )
            )
    return found


def amount_of(node: dict[str, Any], resource: str) -> Any:
    return amount(_allocatable(node, resource))


def _allocatable(node: dict[str, Any], resource: str) -> str:
    return str(node.get("status", {}).get("allocatable", {}).get(resource, "0"))


def _untolerated(node: dict[str, Any], pool: Pool) -> list[str]:
    """Taints of a node that keep the pool's pods away."""
    taints = [t for t in node["spec"].get("taints", ()) if t.get("effect") != "PreferNoSchedule"]
    return [t["key"] for t in taints if not any(tolerates(x, t) for x in pool.tolerations)]


def tolerates(toleration: Toleration, taint: dict[str, Any]) -> bool:
    """As the scheduler compares them."""
    if toleration.effect not in (None, taint.get("effect")):
        return False
    if toleration.key is None:
        return toleration.operator == "Exists"
    same = toleration.key == taint["key"]
    return same and (toleration.operator == "Exists" or (toleration.value or "") == taint.get("value", ""))


def _drivers(site: Site, what: str, pool: Pool, nodes: list[dict[str, Any]]) -> list[Finding]:
    oldest = site.environment.nvidia_driver
    if not pool.gpus or oldest is None:
        return []
    told = {str(v) for n in nodes if (v := n["metadata"].get("labels", {}).get(DRIVER_LABEL))}
    older = sorted(v for v in told if _numbers(v) < _numbers(oldest))
    if older:
        return [
            error(
                what,
                f"a node has the NVIDIA driver {older[0]}, older than `nvidia_driver`",
                f'say `nvidia_driver: "{older[0]}"`',
            )
        ]
    return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
