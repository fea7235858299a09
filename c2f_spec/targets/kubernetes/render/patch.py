"""The environment's `pod_template`, laid over the pods of stages: the way out for what this version does not know.

Maps merge; lists of things with names (containers, variables, volumes, mounts) merge by name, other lists replace.
What it may touch is bounded (`c2f_spec/parse/rules_environment.py`), and the result is checked like all that is
rendered. Plain scalars of an environment are text; here the schema of Kubernetes says which of them are numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.targets.kubernetes.render.schema import definitions

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


POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
WORDS = {"true": True, "false": False}


def patched(template: dict[str, Any], environment: KubernetesEnvironment) -> dict[str, Any]:
    """`template` with the environment's patch over it."""
    if not environment.pod_template:
        return template
    known = definitions(environment.kubernetes)
    merged: dict[str, Any] = merge(template, typed(environment.pod_template, known[POD_TEMPLATE], known), "")
    return merged


def typed(value: Any, schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """`value` with its text as the schema wants it; what fits nothing stays, and is complained of later."""
    if "$ref" in schema:
        return typed(value, known[schema["$ref"].rpartition("/")[2]], known)
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {k: typed(v, fields.get(k, rest), known) for k, v in value.items()}
    if isinstance(value, list):
        return [typed(item, schema.get("items", {}), known) for item in value]
    kinds = schema.get("type", ())
    if not isinstance(value, str) or "string" in kinds:
        return value
    if "boolean" in kinds:
        return WORDS.get(value, value)
    return int(value) if "integer" in kinds and value.lstrip("-").isdecimal() else value


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
