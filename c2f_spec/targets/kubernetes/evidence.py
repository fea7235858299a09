"""What a cluster still knows of stages that ran: the digest in each Job, and the image that its container had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.plan.verify import Evidence
from c2f_spec.targets.kubernetes.render import names
from c2f_spec.targets.kubernetes.render.stage import prepare
from c2f_spec.targets.kubernetes.view import view

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.targets.kubernetes.client import Client

Dict = dict[str, Any]


def evidence(client: Client, plan: Plan) -> dict[str, Evidence]:
    """By key, of stages whose Job is still there. Raises `Unreachable`."""
    found = view(client, plan.stages, "default")
    return {key: _of(plan, plan.stage(key), seen.job, list(seen.pods)) for key, seen in found.items()}


def _of(plan: Plan, stage: Stage, job: Dict, pods: list[Dict]) -> Evidence:
    tries = str(job["metadata"]["name"]).rpartition("-r")[2]
    retries = int(tries) if tries.isdigit() else 0
    rendered = prepare(plan, stage, retries=retries)[-1]
    manifest = (job["metadata"].get("annotations") or {}).get(names.DIGEST)
    return Evidence(_image(pods), manifest, rendered["metadata"]["annotations"][names.DIGEST])


def _image(pods: list[Dict]) -> str | None:
    """Of the pod that succeeded; of several shards any, since they are of one template."""
    for pod in pods:
        status = pod.get("status", {})
        if status.get("phase") == "Succeeded":
            for container in status.get("containerStatuses", ()):
                if container.get("imageID"):
                    return str(container["imageID"]).rpartition("://")[2]
    return None
