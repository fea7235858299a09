"""Read the objects of many stages from the cluster in a handful of requests, for `status` and `verify`.

Jobs and pods come by one paged LIST each; events only of stages that do not run, because a namespace holds thousands.
Needs the rights of a reader and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.plan.verify import Evidence
from c2f_spec.targets.base import Phase, State, Status
from c2f_spec.targets.kubernetes.client import EVENTS, JOBS, POD_GROUPS, PODS, WORKLOADS
from c2f_spec.targets.kubernetes.errors import Forbidden, NotFound
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.status import stage_status
from c2f_spec.targets.kubernetes.status.pending import StageObjects
from c2f_spec.targets.kubernetes.status.termination import end_condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.targets.kubernetes.client import Client, Resource

Dict = dict[str, Any]
MAX_EVENT_STAGES = 50
"""Stages whose events are requested: where more are pending, most of them have one cause."""


def load_snapshot(client: Client, stages: Iterable[Stage], scheduler: str) -> dict[str, StageObjects]:
    """Return the objects of each stage that has a Job, by key; of several Jobs the latest. Raise `Unreachable`."""
    keys = {stage.key for stage in stages}
    jobs: dict[str, Dict] = {}
    for job in client.list(JOBS, labels=names.STAGES):
        key = (job["metadata"].get("annotations") or {}).get(names.KEY)
        if key in keys and (key not in jobs or _retries(job) > _retries(jobs[key])):
            jobs[key] = job
    if not jobs:
        return {}
    pods: dict[str, list[Dict]] = {}
    for pod in client.list(PODS, labels=names.STAGES):
        pods.setdefault(pod["metadata"].get("labels", {}).get(names.JOB_NAME, ""), []).append(pod)
    workloads = {
        owner["uid"]: item
        for item in (_list_if_allowed(client, WORKLOADS) if scheduler == "kueue" else ())
        for owner in item["metadata"].get("ownerReferences", ())
    }
    groups = {
        item["metadata"]["name"]: item
        for item in (_list_if_allowed(client, POD_GROUPS) if scheduler == "volcano" else ())
    }
    found = {}
    for key, job in jobs.items():
        name, uid = job["metadata"]["name"], job["metadata"]["uid"]
        found[key] = StageObjects(job, pods.get(name, ()), (), workloads.get(uid), groups.get(name))
    for key in [key for key, objects in found.items() if _is_pending(objects)][:MAX_EVENT_STAGES]:
        found[key] = found[key]._replace(events=_events(client, found[key]))
    return found


def target_status(objects: StageObjects) -> Status:
    """Return the phase for `status`, its reason and the remedy.

    The store decides what is done and what failed; a Job that ended says what the store will.
    """
    phase, (text, remedy, _) = stage_status(objects)
    state = {Phase.DONE: State.DONE, Phase.FAILED: State.FAILED}.get(phase, State.RUNNING)
    return Status(state, text, phase, remedy)


def evidence(client: Client, plan: Plan) -> dict[str, Evidence]:
    """Return image and manifest digests of stages whose Job still exists, by key. Raise `Unreachable`."""
    found = {}
    for key, objects in load_snapshot(client, plan.stages, "default").items():
        rendered = prepare(plan, plan.stage(key), retries=max(0, _retries(objects.job)))[-1]
        manifest = (objects.job["metadata"].get("annotations") or {}).get(names.DIGEST)
        digest = rendered["metadata"]["annotations"][names.DIGEST]
        found[key] = Evidence(_image(objects.pods), manifest, digest)
    return found


def _image(pods: Iterable[Dict]) -> str | None:
    """Return the image of a pod that succeeded; all shards are of one template."""
    for pod in pods:
        status = pod.get("status", {})
        if status.get("phase") == "Succeeded":
            for container in status.get("containerStatuses", ()):
                if container.get("imageID"):
                    return str(container["imageID"]).rpartition("://")[2]
    return None


def _is_pending(objects: StageObjects) -> bool:
    """Return true unless the Job has ended or every pod of it runs."""
    if end_condition(objects.job):
        return False
    return not objects.pods or any(_has_not_started(pod) for pod in objects.pods)


def _has_not_started(pod: Dict) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Pending")


def _events(client: Client, objects: StageObjects) -> tuple[Dict, ...]:
    """Return the events of the Job and of its pending pods."""
    subjects = [objects.job, *filter(_has_not_started, objects.pods)]
    selectors = (f"involvedObject.uid={item['metadata']['uid']}" for item in subjects)
    return tuple(event for selector in selectors for event in client.list(EVENTS, fields=selector))


def _list_if_allowed(client: Client, resource: Resource) -> list[Dict]:
    """List objects of a queue. Without them a suspended Job still says that it waits; `doctor` reports the right."""
    try:
        return [*client.list(resource)]
    except (NotFound, Forbidden):
        return []


def _retries(job: Dict) -> int:
    """Return 12 for `sft-096a48becb-r12`, and -1 for another name."""
    tail = str(job["metadata"]["name"]).rpartition("-r")[2]
    return int(tail) if tail.isdigit() else -1
