"""Check that the parts of a Kubernetes environment fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.language.suggestions import list_choices, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.cluster import KubernetesEnvironment

OLDEST_DRIVER = (525, 60, 13)
"""Oldest NVIDIA driver that runs CUDA 12 (https://docs.nvidia.com/deploy/cuda-compatibility/)."""
POD_PARTS = frozenset(
    """affinity containers dnsConfig dnsPolicy hostAliases hostUsers imagePullSecrets initContainers nodeSelector
    overhead priorityClassName runtimeClassName schedulerName securityContext tolerations topologySpreadConstraints
    volumes""".split()  # noqa: SIM905  a list of so many words is easier to read like this
)
"""Fields of a pod that `pod_template` may set; c2f-spec sets the rest, which decides what runs and as which user."""
CONTAINER_PARTS = frozenset({"name", "env", "resources", "securityContext", "volumeMounts"})
CONTAINERS = {"containers": ("stage",), "initContainers": ("weights", "vllm")}
RESERVED_PREFIXES = ("app.kubernetes.io/", "batch.kubernetes.io/", "c2f-spec/", "kueue.x-k8s.io/")
"""Prefixes of labels and annotations by which pods are selected and counted."""


def check_environment(e: KubernetesEnvironment) -> list[Problem]:
    """Return every problem of an environment whose fields are valid."""
    rules = (_check_references, _check_driver, _check_pod_template, _check_webhook)
    return [problem for rule in rules for problem in rule(e)]


def _check_references(e: KubernetesEnvironment) -> Iterator[Problem]:
    named: list[tuple[tuple[str, ...], str, dict[str, Any], str]] = [
        (("cpu_pool",), e.cpu_pool, dict(e.pools), "pools")
    ]
    secrets = {("access", "secret"): e.access.secret, ("tracking_secret",): e.tracking_secret}
    secrets |= {("notify", "secret"): e.notify.secret if e.notify else None}
    named += [(loc, name, dict(e.secrets), "secrets") for loc, name in secrets.items() if name is not None]
    for loc, name, known, section in named:
        if name not in known:
            yield Problem("C2F451", loc, f"`{name}` not found in `{section}`", suggest(name, known))


def _check_webhook(e: KubernetesEnvironment) -> Iterator[Problem]:
    if e.notify and e.notify.secret in e.secrets and "C2F_NOTIFY_URL" not in e.secrets[e.notify.secret].env:
        message = f"missing C2F_NOTIFY_URL in secret `{e.notify.secret}`, which `notify` needs"
        yield Problem("C2F454", ("secrets", e.notify.secret, "env"), message, "add `C2F_NOTIFY_URL: <key>`")


def _check_driver(e: KubernetesEnvironment) -> Iterator[Problem]:
    if e.nvidia_driver is None:
        return
    version = tuple(int(part) for part in e.nvidia_driver.split("."))
    if version < OLDEST_DRIVER[: len(version)]:
        oldest = ".".join(map(str, OLDEST_DRIVER))
        message = f"NVIDIA driver {e.nvidia_driver} does not support CUDA 12, which the image needs"
        yield Problem(
            "C2F453", ("nvidia_driver",), message, f"upgrade the driver of the nodes to {oldest} or newer"
        )


def _check_pod_template(e: KubernetesEnvironment) -> Iterator[Problem]:
    root = ("pod_template",)
    for name, value in e.pod_template.items():
        if name not in ("metadata", "spec") or not isinstance(value, dict):
            yield _not_allowed((*root, name), ("metadata", "spec"))
    metadata, spec = (_map(e.pod_template.get(name)) for name in ("metadata", "spec"))
    for name, value in metadata.items():
        if name not in ("labels", "annotations"):
            yield _not_allowed((*root, "metadata", name), ("labels", "annotations"))
            continue
        for key in _map(value):
            if str(key).startswith(RESERVED_PREFIXES):
                yield _reserved((*root, "metadata", name, str(key)))
    for name in spec:
        if name not in POD_PARTS:
            yield _not_allowed((*root, "spec", name), sorted(POD_PARTS))
    for group, known in CONTAINERS.items():
        for i, container in enumerate(spec.get(group) or ()):
            yield from _container((*root, "spec", group, i), _map(container), known)


def _container(
    loc: tuple[str | int, ...], container: dict[str, Any], known: tuple[str, ...]
) -> Iterator[Problem]:
    if container.get("name") not in known:
        yield _not_allowed((*loc, "name"), known)
    for part in container:
        if part not in CONTAINER_PARTS:
            yield _not_allowed((*loc, part), sorted(CONTAINER_PARTS))
    for i, variable in enumerate(container.get("env") or ()):
        if str(_map(variable).get("name", "")).startswith(("C2F_", "PYTHON", "HF_")):
            yield _reserved((*loc, "env", i, "name"))


def _not_allowed(loc: tuple[str | int, ...], known: Any) -> Problem:
    message = f"`{loc[-1]}` is not allowed in `pod_template`"
    return Problem("C2F452", loc, message, list_choices(known), at_key=isinstance(loc[-1], str))


def _reserved(loc: tuple[str | int, ...]) -> Problem:
    return Problem(
        "C2F457", loc, f"`{loc[-1]}` is reserved: c2f-spec sets it", "use another name", at_key=True
    )


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
