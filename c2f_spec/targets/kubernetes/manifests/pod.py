"""The pod of a stage: one container, its volumes, and what its pool of nodes asks for.

Stages have no token of a service account, no links to services, nothing of the node, and a root that cannot be
written to. Requests equal limits: a pod gets what it was promised, and is the last to go when a node runs short.
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


def with_pod_patch(template: dict[str, Any], environment: KubernetesEnvironment) -> dict[str, Any]:
    """`template` with the environment's patch over it."""
    if not environment.pod_template:
        return template
    known = definitions(environment.kubernetes)
    merged: dict[str, Any] = merge(template, coerce(environment.pod_template, known[POD_TEMPLATE], known), "")
    return merged


def coerce(value: Any, schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """`value` with its text as the schema wants it; what fits nothing stays, and is complained of later."""
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
    """`metadata` and `spec` of the pods of a stage; `extra` are further variables."""
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
        **_pulled(environment),
        **_on(pool),
        "containers": [container],
        "volumes": volumes(environment, pool, part, name),
    }
    return {"metadata": {"labels": labels}, "spec": spec}


def resources(stage: Stage, pool: Pool, part: Fraction) -> dict[str, Any]:
    """Requests and limits, which are equal."""
    amount = {
        "cpu": quantities.cores(pool.cpu, part),
        "memory": quantities.bytes_of(pool.memory, part),
        "ephemeral-storage": quantities.bytes_of(pool.ephemeral_storage, part),
    }
    if stage.placement.gpus and pool.gpus:
        amount[pool.resource] = str(stage.placement.gpus)
    if stage.placement.nodes > 1 and pool.rdma:
        amount[pool.rdma.resource] = str(pool.rdma.count)
    return {"requests": amount, "limits": dict(amount)}


def mounts(environment: KubernetesEnvironment) -> list[dict[str, Any]]:
    """Of `volumes`, in their order."""
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
    """The stage's file, places to write, and shared memory in the pod's part of the node's."""
    shm = quantities.bytes_of(pool.shm, part)
    found: list[dict[str, Any]] = [
        {"name": "stage", "configMap": {"name": config_map}},
        {
            "name": "scratch",
            "emptyDir": {"sizeLimit": quantities.bytes_of(pool.ephemeral_storage, part)},
        },
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shm}},
    ]
    if environment.node_cache.kind == "pvc":
        found.append({"name": "cache", "persistentVolumeClaim": {"claimName": environment.node_cache.claim}})
    if environment.access.ca:
        found.append({"name": "authorities", "configMap": {"name": environment.access.ca}})
    return found


def core_variables(stage: Stage, pool: Pool) -> list[dict[str, Any]]:
    """Cores and threads, and the network of several GPUs."""
    placement = stage.placement
    cores = max(1, int(quantities.amount(pool.cpu) * _part(stage, pool)))
    given = {"C2F_CORES": str(cores), "OMP_NUM_THREADS": str(placement.threads)}
    if placement.gpus * placement.nodes > 1:
        given |= {"NCCL_DEBUG": "WARN", **pool.nccl}
    return variables.values(given)


def _part(stage: Stage, pool: Pool) -> Fraction:
    """Of a node: as many of its GPUs, or of one if it needs none; in a pool without GPUs, what each pod asks for."""
    return Fraction(max(1, stage.placement.gpus), pool.gpus) if pool.gpus else Fraction(1)


def _pulled(environment: KubernetesEnvironment) -> dict[str, Any]:
    names = [{"name": name} for name in environment.pull_secrets]
    return {"imagePullSecrets": names} if names else {}


def _on(pool: Pool) -> dict[str, Any]:
    """Which nodes."""
    found: dict[str, Any] = {}
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


# A teacher served by vLLM beside the stage that asks it: a native sidecar, which ends when the stage ends.
#
# The weights are fetched from the store by an init container of the runtime's image; vLLM's image needs none of our
# code. The stage starts when the server's startup probe is content. Not measured on a GPU.


WEIGHTS = f"{variables.SCRATCH}/weights"
CLIENT = Fraction(1, 4)
"""The stage's part of processors and memory: it decodes the clips. vLLM has the rest, and all GPUs."""
PROBE = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{SIDECAR_PORT}/health', timeout=4)"
"""The server listens to its own pod only, and the kubelet's HTTP probes come from outside."""
START_SECONDS, START_TRIES = 10, 180
"""Half an hour to load the weights of the largest teachers and to capture CUDA graphs."""


def add_vllm_sidecar(pod: dict[str, Any], environment: KubernetesEnvironment, teacher: VllmTeacher) -> None:
    """Split the pod `spec` of one container into fetching, serving and asking."""
    stage = pod["containers"][0]
    whole = stage["resources"]["requests"]
    devices = {k: v for k, v in whole.items() if k not in ("cpu", "memory", "ephemeral-storage")}
    asks, serves = (_vllm_part(whole, part) for part in (CLIENT, 1 - CLIENT))
    base = {
        key: stage[key]
        for key in ("imagePullPolicy", "securityContext", "terminationMessagePolicy", "volumeMounts")
    }
    fetch = {
        "name": "weights",
        "image": stage["image"],
        "command": [*stage["command"][:-1], "runtime.commands.weights", "--to", WEIGHTS],
        "env": stage["env"],
        "resources": _equal(asks),
        **base,
    }
    server = {
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
            "periodSeconds": START_SECONDS,
            "failureThreshold": START_TRIES,
        },
        "resources": _equal(serves | devices),
        **base,
    }
    stage["resources"] = _equal(asks)
    pod["initContainers"] = [fetch, server]


def _vllm_part(whole: dict[str, str], part: Fraction) -> dict[str, str]:
    return {
        "cpu": quantities.cores(whole["cpu"], part),
        "memory": quantities.bytes_of(whole["memory"], part),
        "ephemeral-storage": quantities.bytes_of(whole["ephemeral-storage"], part),
    }


def _equal(amount: dict[str, str]) -> dict[str, Any]:
    return {"requests": amount, "limits": dict(amount)}
