"""Rules between the parts of an environment that is a cluster: each yields problems at places of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.language.suggestions import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.cluster import KubernetesEnvironment

OLDEST_DRIVER = (525, 60, 13)
"""Of NVIDIA, that runs CUDA 12 (https://docs.nvidia.com/deploy/cuda-compatibility/)."""
POD_PARTS = frozenset(
    """affinity containers dnsConfig dnsPolicy hostAliases hostUsers imagePullSecrets initContainers nodeSelector
    overhead priorityClassName runtimeClassName schedulerName securityContext tolerations topologySpreadConstraints
    volumes""".split()  # noqa: SIM905  a list of so many words is easier to read like this
)
"""What a `pod_template` may say of a pod; the rest decides what runs, or as whom, and is ours."""
CONTAINER_PARTS = frozenset({"name", "env", "resources", "securityContext", "volumeMounts"})
CONTAINERS = {"containers": ("stage",), "initContainers": ("weights", "vllm")}
OURS = ("app.kubernetes.io/", "batch.kubernetes.io/", "c2f-spec/", "kueue.x-k8s.io/")
"""Prefixes of labels and annotations by which a pod is found and counted."""


def check_environment(e: KubernetesEnvironment) -> list[Problem]:
    """Every problem of an environment whose fields are well-formed."""
    rules = (_names_are_there, _the_driver_runs_cuda, _the_patch_is_of_a_pod, _the_webhook_has_a_url)
    return [problem for rule in rules for problem in rule(e)]


def _names_are_there(e: KubernetesEnvironment) -> Iterator[Problem]:
    named: list[tuple[tuple[str, ...], str, dict[str, Any], str]] = [
        (("cpu_pool",), e.cpu_pool, dict(e.pools), "pools")
    ]
    asked = {("access", "secret"): e.access.secret, ("tracking_secret",): e.tracking_secret}
    asked |= {("notify", "secret"): e.notify.secret if e.notify else None}
    named += [(loc, name, dict(e.secrets), "secrets") for loc, name in asked.items() if name is not None]
    for loc, name, known, section in named:
        if name not in known:
            yield Problem("C2F451", loc, f"`{section}` has no `{name}`", suggest(name, list(known)))


def _the_webhook_has_a_url(e: KubernetesEnvironment) -> Iterator[Problem]:
    if e.notify and e.notify.secret in e.secrets and "C2F_NOTIFY_URL" not in e.secrets[e.notify.secret].env:
        message = f"the secret `{e.notify.secret}` gives no C2F_NOTIFY_URL, which `notify` needs"
        yield Problem("C2F454", ("secrets", e.notify.secret, "env"), message, "add `C2F_NOTIFY_URL: <key>`")


def _the_driver_runs_cuda(e: KubernetesEnvironment) -> Iterator[Problem]:
    if e.nvidia_driver is None:
        return
    version = tuple(int(part) for part in e.nvidia_driver.split("."))
    if version < OLDEST_DRIVER[: len(version)]:
        oldest = ".".join(map(str, OLDEST_DRIVER))
        message = f"NVIDIA driver {e.nvidia_driver} does not run CUDA 12, which the image is made of"
        yield Problem("C2F453", ("nvidia_driver",), message, f"nodes need {oldest} or newer")


def _the_patch_is_of_a_pod(e: KubernetesEnvironment) -> Iterator[Problem]:
    root = ("pod_template",)
    for name, value in e.pod_template.items():
        if name not in ("metadata", "spec") or not isinstance(value, dict):
            yield _foreign((*root, name), ("metadata", "spec"))
    metadata, spec = (_map(e.pod_template.get(name)) for name in ("metadata", "spec"))
    for name, value in metadata.items():
        if name not in ("labels", "annotations"):
            yield _foreign((*root, "metadata", name), ("labels", "annotations"))
            continue
        for key in _map(value):
            if str(key).startswith(OURS):
                yield _taken((*root, "metadata", name, str(key)))
    for name in spec:
        if name not in POD_PARTS:
            yield _foreign((*root, "spec", name), sorted(POD_PARTS))
    for group, known in CONTAINERS.items():
        for i, container in enumerate(spec.get(group) or ()):
            yield from _container((*root, "spec", group, i), _map(container), known)


def _container(
    loc: tuple[str | int, ...], container: dict[str, Any], known: tuple[str, ...]
) -> Iterator[Problem]:
    if container.get("name") not in known:
        yield _foreign((*loc, "name"), known)
    for part in container:
        if part not in CONTAINER_PARTS:
            yield _foreign((*loc, part), sorted(CONTAINER_PARTS))
    for i, variable in enumerate(container.get("env") or ()):
        if str(_map(variable).get("name", "")).startswith(("C2F_", "PYTHON", "HF_")):
            yield _taken((*loc, "env", i, "name"))


def _foreign(loc: tuple[str | int, ...], known: Any) -> Problem:
    message = f"`{loc[-1]}` is not what an environment may say of a pod"
    return Problem("C2F452", loc, message, f"one of {', '.join(known)}", at_key=isinstance(loc[-1], str))


def _taken(loc: tuple[str | int, ...]) -> Problem:
    return Problem("C2F457", loc, f"`{loc[-1]}` is set by c2f-spec", "choose another name", at_key=True)


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
