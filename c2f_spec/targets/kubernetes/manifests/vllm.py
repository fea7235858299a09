"""A teacher served by vLLM beside the stage that asks it: a native sidecar, which ends when the stage ends.

The weights are fetched from the store by an init container of the runtime's image; vLLM's image needs none of our
code. The stage starts when the server's startup probe is content. Not measured on a GPU.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from c2f_spec.plan.model_servers import SIDECAR_PORT
from c2f_spec.spec import teacher as teacher_module
from c2f_spec.targets.kubernetes.manifests import quantities, variables
from c2f_spec.targets.kubernetes.manifests.names import VLLM_CONTAINER

if TYPE_CHECKING:
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.spec.teacher import VllmTeacher

WEIGHTS = f"{variables.SCRATCH}/weights"
CLIENT = Fraction(1, 4)
"""The stage's part of processors and memory: it decodes the clips. vLLM has the rest, and all GPUs."""
PROBE = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{SIDECAR_PORT}/health', timeout=4)"
"""The server listens to its own pod only, and the kubelet's HTTP probes come from outside."""
START_SECONDS, START_TRIES = 10, 180
"""Half an hour to load the weights of the largest teachers and to capture CUDA graphs."""


def serve(pod: dict[str, Any], environment: KubernetesEnvironment, teacher: VllmTeacher) -> None:
    """Split the pod `spec` of one container into fetching, serving and asking."""
    stage = pod["containers"][0]
    whole = stage["resources"]["requests"]
    devices = {k: v for k, v in whole.items() if k not in ("cpu", "memory", "ephemeral-storage")}
    asks, serves = (_part(whole, part) for part in (CLIENT, 1 - CLIENT))
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
        "env": variables.everywhere(environment),
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


def _part(whole: dict[str, str], part: Fraction) -> dict[str, str]:
    return {
        "cpu": quantities.cores(whole["cpu"], part),
        "memory": quantities.bytes_of(whole["memory"], part),
        "ephemeral-storage": quantities.bytes_of(whole["ephemeral-storage"], part),
    }


def _equal(amount: dict[str, str]) -> dict[str, Any]:
    return {"requests": amount, "limits": dict(amount)}
