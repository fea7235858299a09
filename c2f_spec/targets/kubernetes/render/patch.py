"""The environment's `pod_template`, laid over the pods of stages: the way out for what this version does not know.

Maps merge; lists of things with names (containers, variables, volumes, mounts) merge by name, other lists replace.
What it may touch is bounded by `ALLOWED`, and the result is checked like everything that is rendered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment

MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}


def patched(template: dict[str, Any], environment: KubernetesEnvironment) -> dict[str, Any]:
    """`template` with the environment's patch over it."""
    merged: dict[str, Any] = merge(template, environment.pod_template, "")
    return merged


def merge(base: Any, patch: Any, field: str) -> Any:
    """`patch` over `base`; `field` is the name of the list that they are."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{k: merge(base[k], v, k) if k in base else v for k, v in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list) and field in MERGED_BY:
        by = MERGED_BY[field]
        given = {item[by]: item for item in patch}
        kept = [merge(item, given.pop(item[by]), "") if item[by] in given else item for item in base]
        return [*kept, *given.values()]
    return patch
