"""Rendered objects against the schemas of a version of Kubernetes: what the API server would say, without one.

The schemas are strict: an unknown field is an error. They are package data, made by `tests/kubernetes_schemas.py` out
of Kubernetes' own (The Kubernetes Authors, Apache License 2.0). Kinds of other projects (PodGroup) have no schema here
and are not checked.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PATH = Path(__file__).with_name("schemas.json")
KINDS = {
    "v1/ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1/Pod": "io.k8s.api.core.v1.Pod",
    "v1/Service": "io.k8s.api.core.v1.Service",
    "batch/v1/Job": "io.k8s.api.batch.v1.Job",
}
"""Which objects we check, and what Kubernetes calls their schemas."""


class Wrong(NamedTuple):
    """What a schema has against an object."""

    path: str
    """`spec.template.spec.containers[0].image`."""
    message: str


def wrong(item: dict[str, Any], version: str) -> list[Wrong]:
    """Every complaint about an object; none for a kind that has no schema here."""
    kind = f"{item['apiVersion']}/{item['kind']}"
    if kind not in KINDS:
        return []
    validator = _validator(version, kind)
    if validator.is_valid(item):
        return []
    return [Wrong(dotted(e.instance_path), e.message) for e in validator.iter_errors(item)]


def definitions(version: str) -> dict[str, Any]:
    """The schemas of a version by name."""
    held = _held()
    return {name: held["definitions"][number] for name, number in held["versions"][version].items()}


def dotted(path: list[str | int]) -> str:
    """`containers[0].image`, as the API server writes it."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


@cache
def _held() -> Any:
    return json.loads(PATH.read_bytes())


@cache
def _validator(version: str, kind: str) -> Any:
    import jsonschema_rs  # 20 ms that no other verb need pay

    schema = {"$ref": f"#/$defs/{KINDS[kind]}", "$defs": definitions(version)}
    return jsonschema_rs.Draft7Validator(schema)
