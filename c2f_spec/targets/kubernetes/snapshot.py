"""What the cluster has of some stages, in a handful of requests however many they are.

Jobs and pods come by one paged LIST each; events only of those that do not run, because a namespace keeps thousands.
Needs rights of a reader and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.plan.verify import Evidence
from c2f_spec.targets.base import Phase, State, Status
from c2f_spec.targets.kubernetes.client import EVENTS, JOBS, POD_GROUPS, PODS, WORKLOADS
from c2f_spec.targets.kubernetes.errors import Forbidden, NotFound
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.status import StageStatus, stage_status
from c2f_spec.targets.kubernetes.status.pending import StageObjects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.targets.kubernetes.client import Client, Resource


Dict = dict[str, Any]


def evidence(client: Client, plan: Plan) -> dict[str, Evidence]:
    """By key, of stages whose Job is still there. Raises `Unreachable`."""
    found = load_snapshot(client, plan.stages, "default")
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


ViewDict = dict[str, Any]
STAGES = f"{names.MANAGED_BY}={names.MANAGER},app.kubernetes.io/component=stage"
JOB_NAME = "batch.kubernetes.io/job-name"
"""Label that the Job controller gives to pods."""
MAX_EVENT_STAGES = 50
"""Stages whose events are asked for: who has more that wait has one cause for most of them."""
ENDED = ("Complete", "Failed")


def load_snapshot(client: Client, stages: Iterable[Stage], scheduler: str) -> dict[str, StageObjects]:
    """Key to what there is, for the stages that have a Job; of several the latest. Raises `Unreachable`."""
    wanted = {stage.key for stage in stages}
    jobs: dict[str, ViewDict] = {}
    for job in client.list(JOBS, labels=STAGES):
        key = (job["metadata"].get("annotations") or {}).get(names.KEY)
        if key in wanted and (key not in jobs or _tries(job) > _tries(jobs[key])):
            jobs[key] = job
    if not jobs:
        return {}
    pods: dict[str, list[ViewDict]] = {}
    for pod in client.list(PODS, labels=STAGES):
        pods.setdefault(pod["metadata"].get("labels", {}).get(JOB_NAME, ""), []).append(pod)
    workloads = _owned(client, WORKLOADS) if scheduler == "kueue" else {}
    groups = _named(client, POD_GROUPS) if scheduler == "volcano" else {}
    found = {}
    for key, job in jobs.items():
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        found[key] = StageObjects(job, pods.get(name, ()), (), workloads.get(uid), groups.get(name))
    waiting = [key for key, seen in found.items() if _waits(seen)][:MAX_EVENT_STAGES]
    return {k: s._replace(events=_events(client, s)) if k in waiting else s for k, s in found.items()}


def target_status(seen: StageObjects) -> Status:
    """For `status`: the phase, why, and what to do."""
    stands = stage_status(seen)
    return Status(_state(stands), stands.explanation.text, stands.phase, stands.explanation.remedy)


def _state(stands: StageStatus) -> State:
    """The store has the last word on done and failed; a Job that ended says what the store will."""
    return {Phase.DONE: State.DONE, Phase.FAILED: State.FAILED}.get(stands.phase, State.RUNNING)


def _waits(seen: StageObjects) -> bool:
    """It has not ended, and not every pod of its runs."""
    conditions = seen.job.get("status", {}).get("conditions", ())
    if any(c["type"] in ENDED and c["status"] == "True" for c in conditions):
        return False
    return not seen.pods or any(p.get("status", {}).get("phase") == "Pending" for p in seen.pods)


def _events(client: Client, seen: StageObjects) -> tuple[ViewDict, ...]:
    """Of the Job and of its pods that wait."""
    asked = [seen.job, *(p for p in seen.pods if p.get("status", {}).get("phase") == "Pending")]
    found: list[ViewDict] = []
    for item in asked:
        found += client.list(EVENTS, fields=f"involvedObject.uid={item['metadata']['uid']}")
    return tuple(found)


def _owned(client: Client, resource: Resource) -> dict[str, ViewDict]:
    """Objects of a queue by the uid of the Job that owns them."""
    owners = (
        (o["uid"], item)
        for item in _visible(client, resource)
        for o in item["metadata"].get("ownerReferences", ())
    )
    return dict(owners)


def _named(client: Client, resource: Resource) -> dict[str, ViewDict]:
    return {item["metadata"]["name"]: item for item in _visible(client, resource)}


def _visible(client: Client, resource: Resource) -> list[ViewDict]:
    """Without the queue's objects a suspended Job still says that it waits; `doctor` tells of the missing right."""
    try:
        return [*client.list(resource)]
    except (NotFound, Forbidden):
        return []


def _tries(job: ViewDict) -> int:
    """`sft-096a48becb-r12` is the thirteenth Job of its stage."""
    tail = str(job["metadata"]["name"]).rpartition("-r")[2]
    return int(tail) if tail.isdigit() else -1
