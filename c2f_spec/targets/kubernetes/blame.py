"""A field of a manifest → the field of the environment, or of the spec, that produced it.

The API server names fields of Jobs and pods; who wrote the spec has never seen those. Where it says nothing that is
known here, the whole environment is to blame, at its first line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment

Loc = tuple[str | int, ...]


class Blame(NamedTuple):
    """Where somebody wrote what a server refuses."""

    file: Literal["spec", "environment"]
    loc: Loc


POOL = "<pool>"
"""Stands for the pool of the stage."""
FIELDS: tuple[tuple[str, Loc], ...] = (
    (r"queue-name|LocalQueue|[Qq]ueue .*(?:not found|does not exist)", ("scheduler", "queue")),
    (r"priorityClassName|PriorityClass|priority-class", ("scheduler", "priority")),
    (r"podset-(?:required|preferred)-topology", ("scheduler", "topology")),
    (r"imagePullSecrets", ("pull_secrets",)),
    (r"\.image\b", ("image",)),
    (r"nodeSelector", ("pools", POOL, "node_selector")),
    (r"tolerations", ("pools", POOL, "tolerations")),
    (r"resources.*ephemeral-storage|emptyDir\.sizeLimit", ("pools", POOL, "ephemeral_storage")),
    (r"resources.*memory|maximum memory", ("pools", POOL, "memory")),
    (r"resources.*\bcpu\b|maximum cpu", ("pools", POOL, "cpu")),
    (r"resources.*gpu|requests\.nvidia", ("pools", POOL, "gpus")),
    (r"exceeded quota|LimitRange|maximum .* usage", ("pools", POOL)),
    (r"rdma", ("pools", POOL, "rdma")),
    (r"secretKeyRef|[Ss]ecret ", ("secrets",)),
    (r"serviceAccountName|service account|serviceaccount", ("service_account",)),
    (r"activeDeadlineSeconds", ("limits", "deadline_seconds")),
    (r"terminationGracePeriodSeconds", ("limits", "grace_seconds")),
    (r"ttlSecondsAfterFinished", ("limits", "ttl_seconds")),
    (r"backoffLimit", ("limits", "retries")),
    (r"runAsUser", ("run_as_user",)),
    (r"PodSecurity|securityContext|seccomp|capabilities", ("pod_security",)),
    (r"persistentVolumeClaim", ("node_cache", "claim")),
    (r"namespace", ("namespace",)),
    (r"unknown field|strict decoding", ("kubernetes",)),
)
"""What a server says of a field, and which field of an environment that comes from; the first that fits holds."""
SPEC_RESOURCES = (
    (r"resources.*gpu|requests\.nvidia", "gpus"),
    (r"completions|parallelism", "nodes"),
    (r"nodeSelector|tolerations", "pool"),
)
"""What a spec's `resources` decide, if it says so itself."""


def blame(
    field: str, message: str, stage: Stage | None, environment: KubernetesEnvironment, spec: dict[str, Any]
) -> Blame:
    """`spec` is the spec's text as data; `stage` is absent for the driver's objects."""
    told = f"{field} {message}"
    if stage is not None:
        given = (spec.get("resources") or {}).get(stage.kind) or {}
        for pattern, name in SPEC_RESOURCES:
            if name in given and re.search(pattern, told):
                return Blame("spec", ("resources", stage.kind, name))
    if (inside := _patched(field, environment.pod_template)) is not None:
        return Blame("environment", ("pod_template", *inside))
    pool = stage.placement.pool if stage is not None else None
    for pattern, loc in FIELDS:
        if re.search(pattern, told):
            return Blame(
                "environment", tuple((pool or environment.cpu_pool) if p == POOL else p for p in loc)
            )
    return Blame("environment", ())


def _patched(field: str, template: dict[str, Any]) -> Loc | None:
    """The deepest part of `pod_template` that `field` is in, if it is in any."""
    inside = field.removeprefix("spec.template.").removeprefix(".")
    part: Any = template
    found: list[str] = []
    for name in re.findall(r"[^.\[\]]+", inside):
        if not isinstance(part, dict) or name not in part:
            break
        found.append(name)
        part = part[name]
    return tuple(found) if len(found) > 1 else None
