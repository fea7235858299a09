"""Validate rendered objects before they are printed or sent, and find the field of a spec or an environment at fault.

Objects are checked against the schemas of a version of Kubernetes, as the API server would, and against a level of Pod
Security. The schemas are strict: an unknown field is an error. They are package data, made by
`tests/kubernetes_schemas.py` out of those of Kubernetes (The Kubernetes Authors, Apache License 2.0). Kinds of other
projects (PodGroup) have no schema here and are not checked.
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
    """The field of a file that produced what a server refuses."""

    file: Literal["spec", "environment"]
    loc: Loc


POOL = "<pool>"
"""Placeholder for the pool of the stage."""
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
"""Patterns of a server's message, each with the field of an environment at fault; the first match holds."""
SPEC_RESOURCES = (
    (r"resources.*gpu|requests\.nvidia", "gpus"),
    (r"completions|parallelism", "nodes"),
    (r"nodeSelector|tolerations", "pool"),
)
"""Patterns of what `resources` of a spec decides, if the spec sets the field."""


def error_origin(
    field: str, message: str, stage: Stage | None, environment: KubernetesEnvironment, spec: dict[str, Any]
) -> ErrorOrigin:
    """Return the field at fault for a message of the API server about `field` of a manifest.

    `spec` is the spec's text as data; `stage` is `None` for the driver's objects. Where nothing matches, it is the whole
    environment, at its first line.
    """
    text = f"{field} {message}"
    if stage is not None:
        resources = (spec.get("resources") or {}).get(stage.kind) or {}
        for pattern, name in SPEC_RESOURCES:
            if name in resources and re.search(pattern, text):
                return ErrorOrigin("spec", ("resources", stage.kind, name))
    if (inside := _patched(field, environment.pod_template)) is not None:
        return ErrorOrigin("environment", ("pod_template", *inside))
    pool = stage.placement.pool if stage is not None else None
    for pattern, loc in FIELDS:
        if re.search(pattern, text):
            return ErrorOrigin(
                "environment", tuple((pool or environment.cpu_pool) if p == POOL else p for p in loc)
            )
    return ErrorOrigin("environment", ())


def _patched(field: str, template: dict[str, Any]) -> Loc | None:
    """Return the deepest part of `pod_template` that holds `field`, if any."""
    inside = field.removeprefix("spec.template.").removeprefix(".")
    part: Any = template
    found: list[str] = []
    for name in re.findall(r"[^.\[\]]+", inside):
        if not isinstance(part, dict) or name not in part:
            break
        found.append(name)
        part = part[name]
    return tuple(found) if len(found) > 1 else None


PATH = Path(__file__).with_name("schemas.json")
KINDS = {
    "v1/ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1/Pod": "io.k8s.api.core.v1.Pod",
    "v1/Service": "io.k8s.api.core.v1.Service",
    "batch/v1/Job": "io.k8s.api.batch.v1.Job",
}
"""Names of the schemas, by kind of object."""


class SchemaError(NamedTuple):
    """A violation of a schema by an object."""

    path: str
    """`spec.template.spec.containers[0].image`."""
    message: str


def schema_errors(item: dict[str, Any], version: str) -> list[SchemaError]:
    """Return the violations by an object; none for a kind that has no schema here."""
    kind = f"{item['apiVersion']}/{item['kind']}"
    if kind not in KINDS:
        return []
    validator = _validator(version, kind)
    if validator.is_valid(item):
        return []
    return [SchemaError(dotted(e.instance_path), e.message) for e in validator.iter_errors(item)]


def definitions(version: str) -> dict[str, Any]:
    """Return the schemas of a version by name."""
    schemas = _schemas()
    return {name: schemas["definitions"][number] for name, number in schemas["versions"][version].items()}


def dotted(path: list[str | int]) -> str:
    """Return `containers[0].image`, as the API server writes a path."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


@cache
def _schemas() -> Any:
    return json.loads(PATH.read_bytes())


@cache
def _validator(version: str, kind: str) -> Any:
    import jsonschema_rs  # 20 ms that no other verb need pay

    schema = {"$ref": f"#/$defs/{KINDS[kind]}", "$defs": definitions(version)}
    return jsonschema_rs.Draft7Validator(schema)


TEMPLATE = "spec.template.spec"
MAX_PROBLEMS = 20
"""Number of problems that are reported; most of them are one, repeated for each stage."""
HINT = "correct `pod_template`, the part of a pod that the environment writes itself"


class ManifestError(NamedTuple):
    """A problem of one object."""

    object: str
    """`Job sft-096a48becb-r0`."""
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.object}: {self.path}: {self.message}"


def manifest_errors(objects: list[dict[str, Any]], environment: KubernetesEnvironment) -> list[ManifestError]:
    """Return the problems for which the environment's API server or namespace would refuse objects."""
    return [error for item in objects for error in _object_errors(item, environment)]


def _object_errors(item: dict[str, Any], environment: KubernetesEnvironment) -> Iterator[ManifestError]:
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
    """Raise `SpecErrors` with what a server would refuse, at the lines of the environment's `document`.

    The cause is `pod_template` of the environment, or an error of c2f-spec.
    """
    unique = {
        (c.object.partition(" ")[0], c.path, c.message): c for c in manifest_errors(objects, environment)
    }
    problems = []
    for kind, path, message in list(unique)[:MAX_PROBLEMS]:
        loc = error_origin(path, message, None, environment, {}).loc
        what = f"Kubernetes {environment.kubernetes} would refuse each {kind}: `{path}`: {message}"
        problems.append(Diagnostic("C2F455", document.place(loc), what, HINT))
    if problems:
        raise SpecErrors(problems)
