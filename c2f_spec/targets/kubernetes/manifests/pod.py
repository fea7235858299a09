"""Build the pod of a stage: one container, its volumes, its node selection, and a vLLM sidecar for a served teacher.

Stages have no token of a service account, no links to services, nothing of the node, and a read-only root file system.
Requests equal limits, so that a pod is the last to be evicted when a node runs short.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from c2f_spec.plan.model_servers import SIDECAR_PORT
from c2f_spec.spec import quantities
from c2f_spec.spec import teacher as teacher_module
from c2f_spec.targets.kubernetes.manifests import security, variables
from c2f_spec.targets.kubernetes.manifests.names import STAGE_CONTAINER, VLLM_CONTAINER
from c2f_spec.targets.kubernetes.manifests.validation import definitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.plan.model import Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment, Pool
    from c2f_spec.spec.teacher import VllmTeacher


MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
"""Lists of a pod that merge by the value of a field."""


POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
BOOLEANS = {"true": True, "false": False}


def with_pod_patch(template: dict[str, Any], environment: KubernetesEnvironment) -> dict[str, Any]:
    """Return `template` with `pod_template` of the environment over it."""
    if not environment.pod_template:
        return template
    known = definitions(environment.kubernetes)
    merged: dict[str, Any] = merge(template, coerce(environment.pod_template, known[POD_TEMPLATE], known), "")
    return merged


def coerce(value: Any, schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """Convert the text in `value` to the types of the schema. What does not fit stays, for `validation.py` to report."""
    if "$ref" in schema:
        return coerce(value, known[schema["$ref"].rpartition("/")[2]], known)
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {k: coerce(v, fields.get(k, rest), known) for k, v in value.items()}
    if isinstance(value, list):
        return [coerce(item, schema.get("items", {}), known) for item in value]
    kinds = schema.get("type", ())
    if not isinstance(value, str) or "string" in kinds:
        return value
    if "boolean" in kinds:
        return BOOLEANS.get(value, value)
    return int(value) if "integer" in kinds and value.lstrip("-").isdecimal() else value


def merge(base: Any, patch: Any, field: str) -> Any:
    """Return `patch` over `base`; `field` is the name of the list that they are."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {**base, **{k: merge(base[k], v, k) if k in base else v for k, v in patch.items()}}
    if isinstance(base, list) and isinstance(patch, list) and field in MERGE_KEYS:
        by = MERGE_KEYS[field]
        new = {item[by]: item for item in patch}
        merged = [merge(item, new.pop(item[by]), "") if item[by] in new else item for item in base]
        return [*merged, *new.values()]
    return patch


STAGE_FOLDER = "/etc/c2f/stage"
"""Where the stage's ConfigMap is mounted: `stage.json`, and `boot.py`, which brings the code."""


def pod_template(
    environment: KubernetesEnvironment,
    stage: Stage,
    pool: Pool,
    *,
    name: str,
    labels: dict[str, str],
    command: Sequence[str],
    extra: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return `metadata` and `spec` of the pods of a stage; `extra` are further variables."""
    part = _part(stage, pool)
    container = {
        "name": STAGE_CONTAINER,
        "image": stage.placement.image or environment.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [variables.literal(word) for word in command],
        "env": [*variables.common(environment), *core_variables(stage, pool), *extra],
        "resources": resources(stage, pool, part),
        "securityContext": security.container_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(environment),
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": environment.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": environment.limits.grace_seconds,
        "securityContext": security.pod_context(environment.run_as_user),
        **node_and_pull_fields(environment, pool),
        "containers": [container],
        "volumes": volumes(environment, pool, part, name),
    }
    return {"metadata": {"labels": labels}, "spec": spec}


def resources(stage: Stage, pool: Pool, part: Fraction) -> dict[str, Any]:
    """Return requests and limits, which are equal."""
    amount = amounts(pool.cpu, pool.memory, pool.ephemeral_storage, part)
    if stage.placement.gpus and pool.gpus:
        amount[pool.resource] = str(stage.placement.gpus)
    if stage.placement.nodes > 1 and pool.rdma:
        amount[pool.rdma.resource] = str(pool.rdma.count)
    return equal_limits(amount)


def amounts(cpu: str, memory: str, storage: str, part: Fraction = Fraction(1)) -> dict[str, str]:
    """Return a part of some resources, as a container requests them."""
    return {
        "cpu": quantities.cores(cpu, part),
        "memory": quantities.bytes_of(memory, part),
        "ephemeral-storage": quantities.bytes_of(storage, part),
    }


def equal_limits(amount: dict[str, str]) -> dict[str, Any]:
    """Return `resources` of a container with limits that equal its requests."""
    return {"requests": amount, "limits": dict(amount)}


def mounts(environment: KubernetesEnvironment) -> list[dict[str, Any]]:
    """Return the mounts of `volumes`, in their order."""
    found: list[dict[str, Any]] = [
        {"name": "stage", "mountPath": STAGE_FOLDER, "readOnly": True},
        {"name": "scratch", "mountPath": variables.SCRATCH},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  some libraries do not ask TMPDIR
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  DataLoader and NCCL; 64 MiB without it
    ]
    if environment.node_cache.kind == "pvc":
        found.append({"name": "cache", "mountPath": variables.CACHE})
    if environment.access.ca:
        found.append({"name": "authorities", "mountPath": variables.AUTHORITIES, "readOnly": True})
    return found


def volumes(
    environment: KubernetesEnvironment, pool: Pool, part: Fraction, config_map: str
) -> list[dict[str, Any]]:
    """Return the volumes: the stage's file, places to write, and the pod's part of the node's shared memory."""
    shm = quantities.bytes_of(pool.shm, part)
    found: list[dict[str, Any]] = [
        {"name": "stage", "configMap": {"name": config_map}},
        {"name": "scratch", "emptyDir": {"sizeLimit": quantities.bytes_of(pool.ephemeral_storage, part)}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shm}},
    ]
    if environment.node_cache.kind == "pvc":
        found.append({"name": "cache", "persistentVolumeClaim": {"claimName": environment.node_cache.claim}})
    if environment.access.ca:
        found.append({"name": "authorities", "configMap": {"name": environment.access.ca}})
    return found


def core_variables(stage: Stage, pool: Pool) -> list[dict[str, Any]]:
    """Return variables for cores and threads, and for the network of several GPUs."""
    placement = stage.placement
    cores = max(1, int(quantities.amount(pool.cpu) * _part(stage, pool)))
    given = {"C2F_CORES": str(cores), "OMP_NUM_THREADS": str(placement.threads)}
    if placement.gpus * placement.nodes > 1:
        given |= {"NCCL_DEBUG": "WARN", **pool.nccl}
    return variables.values(given)


def _part(stage: Stage, pool: Pool) -> Fraction:
    """Return the part of a node, by its GPUs (at least one); 1 in a pool without GPUs, whose values are of each pod."""
    return Fraction(max(1, stage.placement.gpus), pool.gpus) if pool.gpus else Fraction(1)


def node_and_pull_fields(environment: KubernetesEnvironment, pool: Pool) -> dict[str, Any]:
    """Return the fields of a pod that choose its nodes and give it credentials for the registry."""
    found: dict[str, Any] = {}
    if environment.pull_secrets:
        found["imagePullSecrets"] = [{"name": name} for name in environment.pull_secrets]
    if pool.node_selector:
        found["nodeSelector"] = dict(pool.node_selector)
    if pool.tolerations:
        found["tolerations"] = [t.model_dump(exclude_none=True) for t in pool.tolerations]
    return found


def avoid_nodes(pod: dict[str, Any], nodes: Sequence[str]) -> None:
    """Keep the pod `spec` off nodes by name, on top of whatever affinity it has."""
    if not nodes:
        return
    # One name a requirement: the API server takes no more. All of one term must hold, and any one of the terms.
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [n]} for n in sorted(set(nodes))]
    rules = pod.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = rules.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": [{}]})
    for term in required["nodeSelectorTerms"]:
        term["matchFields"] = [*term.get("matchFields", ()), *fields]


WEIGHTS = f"{variables.SCRATCH}/weights"
CLIENT_PART = Fraction(1, 4)
"""The stage's part of processors and memory, to decode clips. vLLM has the rest, and all GPUs."""
PROBE = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{SIDECAR_PORT}/health', timeout=4)"
"""The server listens to its own pod only, and the kubelet's HTTP probes come from outside."""
PROBE_SECONDS, PROBE_FAILURES = 10, 180
"""Together half an hour, to load the weights of the largest teachers and to capture CUDA graphs."""


def add_vllm_sidecar(pod: dict[str, Any], environment: KubernetesEnvironment, teacher: VllmTeacher) -> None:
    """Serve the teacher by vLLM in a native sidecar, which ends when the stage ends. Not tried on a GPU.

    An init container of the runtime's image fetches the weights from the store: vLLM's image needs no code of c2f-spec.
    The stage starts when the startup probe of the server succeeds. `pod` is the `spec` of a pod, and is changed.
    """
    stage = pod["containers"][0]
    whole = stage["resources"]["requests"]
    devices = {k: v for k, v in whole.items() if k not in ("cpu", "memory", "ephemeral-storage")}
    client, server = (
        amounts(whole["cpu"], whole["memory"], whole["ephemeral-storage"], part)
        for part in (CLIENT_PART, 1 - CLIENT_PART)
    )
    base = {
        key: stage[key]
        for key in ("imagePullPolicy", "securityContext", "terminationMessagePolicy", "volumeMounts")
    }
    fetch = {
        "name": "weights",
        "image": stage["image"],
        "command": [*stage["command"][:-1], "runtime.commands.in_pod", "weights", "--to", WEIGHTS],
        "env": stage["env"],
        "resources": equal_limits(client),
        **base,
    }
    vllm = {
        "name": VLLM_CONTAINER,
        "image": environment.vllm_image,
        "restartPolicy": "Always",
        "command": [
            variables.literal(word)
            for word in teacher_module.command(
                WEIGHTS,
                teacher.model,
                port=SIDECAR_PORT,
                tensor_parallel=teacher.tensor_parallel,
                memory=teacher.memory,
            )
        ],
        "env": variables.common(environment),
        "startupProbe": {
            "exec": {"command": ["python3", "-c", PROBE]},
            "timeoutSeconds": 5,
            "periodSeconds": PROBE_SECONDS,
            "failureThreshold": PROBE_FAILURES,
        },
        "resources": equal_limits(server | devices),
        **base,
    }
    stage["resources"] = equal_limits(client)
    pod["initContainers"] = [fetch, vllm]
