"""The environment variables of a container. What a stage computes depends on none of them (`StageFile`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment

SCRATCH = "/scratch"
"""An emptyDir: all that a pod writes, as root and home are read-only."""
CACHE = "/cache"
"""A claim, where the environment has one: verified downloads that outlive the pod."""
AUTHORITIES = "/etc/c2f/authorities"
"""A ConfigMap with the certificate authorities of the store."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""Weights and data come from the store, by digest, and from nowhere else."""
WRITERS = (
    ("HOME", "home"),
    ("TMPDIR", "tmp"),
    ("XDG_CACHE_HOME", "cache"),
    ("XDG_CONFIG_HOME", "config"),
    ("HF_HOME", "cache/huggingface"),
    ("TORCH_HOME", "cache/torch"),
    ("TORCHINDUCTOR_CACHE_DIR", "cache/inductor"),
    ("TRITON_CACHE_DIR", "cache/triton"),
    ("NUMBA_CACHE_DIR", "cache/numba"),
    ("VLLM_CACHE_ROOT", "cache/vllm"),
    ("MPLCONFIGDIR", "config/matplotlib"),
)
"""Libraries that would write into the home folder or beside their own files, and where they write instead."""


def literal(text: str) -> str:
    """`text` so that the kubelet leaves it as it is: it reads `$(NAME)` as a variable and `$$` as one `$`.

    Commands, arguments and values of variables are all expanded
    (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
    """
    return text.replace("$", "$$")


def values(given: dict[str, str]) -> list[dict[str, Any]]:
    """Variables by value."""
    return [{"name": name, "value": literal(value)} for name, value in given.items()]


def secret(environment: KubernetesEnvironment, name: str | None) -> list[dict[str, Any]]:
    """The variables that one of the environment's secrets gives; none for no secret."""
    if name is None:
        return []
    reference = environment.secrets[name]
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": reference.name, "key": key}}}
        for variable, key in reference.env.items()
    ]


def field(name: str, path: str) -> dict[str, Any]:
    """A variable that says what the cluster made of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def common(environment: KubernetesEnvironment) -> list[dict[str, Any]]:
    """What every container of ours gets: places to write, the way to the store, proxies, who it is."""
    given = {
        "C2F_SCRATCH": SCRATCH,
        **{name: f"{SCRATCH}/{folder}" for name, folder in WRITERS},
        "USER": "c2f",  # torch asks for a name, and an arbitrary user id has none
        "LOGNAME": "c2f",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **OFFLINE,
        **_store(environment),
        **_proxies(environment),
    }
    who = [
        field("C2F_POD", "metadata.name"),
        field("C2F_POD_UID", "metadata.uid"),
        field("C2F_NODE", "spec.nodeName"),
    ]
    return [*values(given), *who, *secret(environment, environment.access.secret)]


def _store(environment: KubernetesEnvironment) -> dict[str, str]:
    """The AWS SDK's own names, which the store's clients heed."""
    access, given = environment.access, {}
    if access.endpoint:
        given["AWS_ENDPOINT_URL"] = access.endpoint
    if access.region:
        given["AWS_REGION"] = access.region
    if environment.store.startswith("s3://"):
        given["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = str(access.addressing == "virtual").lower()
    if access.ca:
        given["AWS_CA_BUNDLE"] = given["SSL_CERT_FILE"] = f"{AUTHORITIES}/ca.crt"
    if environment.node_cache.kind == "pvc":
        given["C2F_CACHE"] = CACHE
    return given


def _proxies(environment: KubernetesEnvironment) -> dict[str, str]:
    """In both spellings: programs heed one or the other."""
    proxies = environment.proxies
    given = {"http_proxy": proxies.http, "https_proxy": proxies.https, "no_proxy": ",".join(proxies.no_proxy)}
    return {spelt: value for name, value in given.items() if value for spelt in (name, name.upper())}
