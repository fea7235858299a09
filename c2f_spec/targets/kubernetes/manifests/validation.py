"""A field of a manifest → the field of the environment, or of the spec, that produced it.

The API server names fields of Jobs and pods; who wrote the spec has never seen those. Where it says nothing that is
known here, the whole environment is to blame, at its first line.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors
from c2f_spec.targets.kubernetes.manifests.security import violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.language.document import Document
    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment


Loc = tuple[str | int, ...]


class ErrorOrigin(NamedTuple):
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


def error_origin(
    field: str, message: str, stage: Stage | None, environment: KubernetesEnvironment, spec: dict[str, Any]
) -> ErrorOrigin:
    """`spec` is the spec's text as data; `stage` is absent for the driver's objects."""
    told = f"{field} {message}"
    if stage is not None:
        given = (spec.get("resources") or {}).get(stage.kind) or {}
        for pattern, name in SPEC_RESOURCES:
            if name in given and re.search(pattern, told):
                return ErrorOrigin("spec", ("resources", stage.kind, name))
    if (inside := _patched(field, environment.pod_template)) is not None:
        return ErrorOrigin("environment", ("pod_template", *inside))
    pool = stage.placement.pool if stage is not None else None
    for pattern, loc in FIELDS:
        if re.search(pattern, told):
            return ErrorOrigin(
                "environment", tuple((pool or environment.cpu_pool) if p == POOL else p for p in loc)
            )
    return ErrorOrigin("environment", ())


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


# Rendered objects against the schemas of a version of Kubernetes: what the API server would say, without one.
#
# The schemas are strict: an unknown field is an error. They are package data, made by `tests/kubernetes_schemas.py` out
# of Kubernetes' own (The Kubernetes Authors, Apache License 2.0). Kinds of other projects (PodGroup) have no schema here
# and are not checked.


PATH = Path(__file__).with_name("schemas.json")
KINDS = {
    "v1/ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1/Pod": "io.k8s.api.core.v1.Pod",
    "v1/Service": "io.k8s.api.core.v1.Service",
    "batch/v1/Job": "io.k8s.api.batch.v1.Job",
}
"""Which objects we check, and what Kubernetes calls their schemas."""


class SchemaError(NamedTuple):
    """What a schema has against an object."""

    path: str
    """`spec.template.spec.containers[0].image`."""
    message: str


def schema_errors(item: dict[str, Any], version: str) -> list[SchemaError]:
    """Every complaint about an object; none for a kind that has no schema here."""
    kind = f"{item['apiVersion']}/{item['kind']}"
    if kind not in KINDS:
        return []
    validator = _validator(version, kind)
    if validator.is_valid(item):
        return []
    return [SchemaError(dotted(e.instance_path), e.message) for e in validator.iter_errors(item)]


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


# Everything that is rendered is judged before it is shown or sent: by schema, and by the level of Pod Security.


TEMPLATE = "spec.template.spec"
MOST = 20
"""Complaints that are shown; most are one, once a stage."""
HINT = "`pod_template` is the part of a pod that an environment writes itself; correct it there"


class ManifestError(NamedTuple):
    """What is wrong with one object."""

    object: str
    """`Job sft-096a48becb-r0`."""
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.object}: {self.path}: {self.message}"


def manifest_errors(objects: list[dict[str, Any]], environment: KubernetesEnvironment) -> list[ManifestError]:
    """None, if an API server of the environment's version and its namespace would take all of them."""
    return [complaint for item in objects for complaint in _of(item, environment)]


def _of(item: dict[str, Any], environment: KubernetesEnvironment) -> Iterator[ManifestError]:
    name = f"{item['kind']} {item['metadata']['name']}"
    for path, message in schema_errors(item, environment.kubernetes):
        yield ManifestError(name, path, message)
    if item["kind"] == "Job":
        pod = item["spec"]["template"]["spec"]
        for path, message in violations(pod, environment.pod_security):
            yield ManifestError(
                name, f"{TEMPLATE}.{path}", f"{message} (Pod Security `{environment.pod_security}`)"
            )


def check(objects: list[dict[str, Any]], environment: KubernetesEnvironment, document: Document) -> None:
    """Raises `SpecErrors` with what a server would refuse, at the lines of the environment's `document`.

    It comes from the environment's `pod_template`, or is a mistake of ours.
    """
    told = {(c.object.partition(" ")[0], c.path, c.message): c for c in manifest_errors(objects, environment)}
    problems = []
    for kind, path, message in list(told)[:MOST]:
        loc = error_origin(path, message, None, environment, {}).loc
        what = f"Kubernetes {environment.kubernetes} would refuse each {kind}: `{path}`: {message}"
        problems.append(Diagnostic("C2F455", document.place(loc), what, HINT))
    if problems:
        raise SpecErrors(problems)
