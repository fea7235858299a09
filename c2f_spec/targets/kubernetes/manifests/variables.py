"""Build the environment variables of a container. No result of a stage depends on them (`StageFile`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment

SCRATCH = "/scratch"
"""Mount of an emptyDir for everything that a pod writes; its root file system is read-only."""
CACHE = "/cache"
"""Mount of the volume claim of the node cache: verified downloads that outlive the pod."""
AUTHORITIES = "/etc/c2f/authorities"
"""Mount of the ConfigMap with the certificate authorities of the store."""

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""Variables that keep libraries from the network: weights and data come from the store, by digest."""
WRITE_FOLDERS = (
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
"""Folders below the scratch folder for libraries that write into the home folder or beside their own files."""


def literal(text: str) -> str:
    """Escape `text` for the kubelet, which reads `$(NAME)` as a variable and `$$` as one `$`.

    Commands, arguments and values of variables are all expanded
    (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
    """
    return text.replace("$", "$$")


def values(variables: dict[str, str]) -> list[dict[str, Any]]:
    """Return variables by value."""
    return [{"name": name, "value": literal(value)} for name, value in variables.items()]


def secret(environment: KubernetesEnvironment, name: str | None) -> list[dict[str, Any]]:
    """Return the variables of one of the environment's secrets; none for no secret."""
    if name is None:
        return []
    reference = environment.secrets[name]
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": reference.name, "key": key}}}
        for variable, key in reference.env.items()
    ]


def field(name: str, path: str) -> dict[str, Any]:
    """Return a variable with the value of a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def common(environment: KubernetesEnvironment) -> list[dict[str, Any]]:
    """Return the variables of every container: folders to write, the store, proxies, the name of the pod."""
    fixed = {
        "C2F_SCRATCH": SCRATCH,
        **{name: f"{SCRATCH}/{folder}" for name, folder in WRITE_FOLDERS},
        "USER": "c2f",  # torch needs a name, and an arbitrary user id has none
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
    return [*values(fixed), *who, *secret(environment, environment.access.secret)]


def _store(environment: KubernetesEnvironment) -> dict[str, str]:
    """Return the variables of the AWS SDK, which the store's clients read."""
    access, found = environment.access, {}
    if access.endpoint:
        found["AWS_ENDPOINT_URL"] = access.endpoint
    if access.region:
        found["AWS_REGION"] = access.region
    if environment.store.startswith("s3://"):
        found["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] = str(access.addressing == "virtual").lower()
    if access.ca:
        found["AWS_CA_BUNDLE"] = found["SSL_CERT_FILE"] = f"{AUTHORITIES}/ca.crt"
    if environment.node_cache.kind == "pvc":
        found["C2F_CACHE"] = CACHE
    return found


def _proxies(environment: KubernetesEnvironment) -> dict[str, str]:
    """Return the proxies in both spellings: programs read one or the other."""
    proxies = environment.proxies
    found = {"http_proxy": proxies.http, "https_proxy": proxies.https, "no_proxy": ",".join(proxies.no_proxy)}
    return {spelt: value for name, value in found.items() if value for spelt in (name, name.upper())}
