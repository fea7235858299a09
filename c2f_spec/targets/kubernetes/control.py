"""The cluster as the commands about a running plan see it: `status`, `logs`, `cancel`, `retry`, `delete`, `shell`."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Unreachable
from c2f_spec.store import records
from c2f_spec.targets.base import State
from c2f_spec.targets.kubernetes import plan_objects
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS
from c2f_spec.targets.kubernetes.errors import NotFound
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.stage import prepare, with_digest
from c2f_spec.targets.kubernetes.pod_logs import StageLogs
from c2f_spec.targets.kubernetes.snapshot import load_snapshot, target_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Status
    from c2f_spec.targets.kubernetes.client import Client

RETRIED = "c2f-spec/retried"
"""Annotation of a plan's ConfigMap: the time of the last request for a retry. The driver sees it change and reads the store again."""
SLACK_SECONDS = 60.0
"""Added to the grace period of pods before what is left is reported."""
NOTICE_SECONDS = 1.5
"""By then a driver has seen a change (a watch, and the time for which it gathers changes)."""
SHELL_SECONDS = 2 * 3600
"""Time after which a shell's Job ends."""
SHELL_TTL_SECONDS = 600


class Cluster:
    """The stages of plans in one namespace; implements `Control` of targets/base.py."""

    def __init__(self, client: Client, store: ObjectStore, environment: KubernetesEnvironment) -> None:
        self.client, self.store, self.environment = client, store, environment

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        snapshot = load_snapshot(self.client, stages, self.environment.scheduler.kind)
        return {key: target_status(objects) for key, objects in snapshot.items()}

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        log = StageLogs(self.client, self.store, stage)
        return (
            log.follow(lambda: self._is_final(stage), lambda: self._explain(stage)) if follow else log.all()
        )

    def plans_that_need(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        return plan_objects.other_plans(plan_objects.running_plans(self.client), plan.digest)

    def withdraw(self, plan: Plan) -> None:
        """Delete the plan's ConfigMap first: without it, the driver's Job starts no new driver."""
        self.client.delete(CONFIGMAPS, names.plan_name(plan.digest))
        self.client.delete(JOBS, names.driver_name(plan.digest))

    def cancel(self, stages: Sequence[Stage], report: Callable[[str], None]) -> None:
        keys = {stage.key for stage in stages}
        jobs = [
            job["metadata"]["name"]
            for job in self.client.list(JOBS, labels=names.STAGES, metadata_only=True)
            if (job["metadata"].get("annotations") or {}).get(names.KEY) in keys
        ]
        for name in jobs:
            self.client.delete(JOBS, name)
        reported = ""
        grace = self.environment.limits.grace_seconds
        end = time.monotonic() + grace + SLACK_SECONDS
        while pods := self._pods(jobs):
            more = f" and {len(pods) - 5} more" if len(pods) > 5 else ""
            line = f"{', '.join(pods[:5])}{more}: saving, at most {grace} s"
            if line != reported:
                report(line)
                reported = line
            if time.monotonic() > end:
                hint = f"run `kubectl describe pod {pods[0]}`; its node may be down"
                raise Unreachable(f"timed out: pod {pods[0]} does not end", hint=hint)
            time.sleep(plan_objects.POLL_SECONDS)

    def notify_retry(self, plan: Plan) -> None:
        now, keys = datetime.now(UTC).isoformat(), {stage.key for stage in plan.stages}
        notified = False
        for other in plan_objects.running_plans(self.client):
            if other.keys & keys:
                change = {"metadata": {"annotations": {RETRIED: now}}}
                with contextlib.suppress(NotFound):  # it has ended a moment ago
                    self.client.patch(CONFIGMAPS, names.plan_name(other.digest), change)
                    notified = True
        if notified:
            time.sleep(NOTICE_SECONDS)

    def deletable(self, plan: Plan, excluded: Iterable[str]) -> list[str]:
        return [str(o) for o in self._objects(plan, excluded)]

    def delete(self, plan: Plan, excluded: Iterable[str], report: Callable[[str], None]) -> list[str]:
        self.withdraw(plan)
        seconds = self.environment.limits.grace_seconds + SLACK_SECONDS
        left: list[plan_objects.PlanObject] = []
        # More than one round: the driver may have been creating an object in the first.
        while not left and (objects := self._objects(plan, excluded)):
            plan_objects.delete_objects(self.client, objects)
            left = plan_objects.wait_until_deleted(self.client, objects, seconds=seconds, report=report)
        return [str(o) for o in left]

    def shell(self, plan: Plan, stage: Stage) -> str:
        for item in shell_objects(plan, stage):
            self.client.apply(item)
        container = names.STAGE_CONTAINER
        return f"kubectl exec -it -n {self.client.namespace} job/shell-{stage.name} -c {container} -- bash"

    def _objects(self, plan: Plan, excluded: Iterable[str]) -> list[plan_objects.PlanObject]:
        keys = [stage.key for stage in plan.stages]
        return plan_objects.objects_of_plan(
            plan_objects.list_objects(self.client), plan.digest, keys, excluded
        )

    def _pods(self, jobs: Sequence[str]) -> list[str]:
        """Return pods of some Jobs, out of all pods: the names of a thousand Jobs are too long for a selector."""
        if not jobs:
            return []
        pods = [p["metadata"] for p in self.client.list(PODS, labels=names.STAGES, metadata_only=True)]
        return [p["name"] for p in pods if p.get("labels", {}).get(names.JOB_NAME) in jobs]

    def _is_final(self, stage: Stage) -> bool:
        """Return true if no further attempt comes: it is done or failed, or no running plan creates a Job for it."""
        if self.store.exists(records.record_name(stage.kind, stage.key)):
            return True
        if records.is_failed(self.store, stage.kind, stage.key):
            return True
        known = self.statuses([stage]).get(stage.key)
        return (known is None or known.state is not State.RUNNING) and not self._is_planned(stage)

    def _is_planned(self, stage: Stage) -> bool:
        """Return true if a plan in the cluster, whether its driver has ended or not, has the stage."""
        for item in self.client.list(CONFIGMAPS, labels=names.PLANS):
            keys = json.loads((item.get("data") or {}).get("keys", "[]"))
            if any(entry["key"] == stage.key for entry in keys):
                return True
        return False

    def _explain(self, stage: Stage) -> str:
        known = self.statuses([stage]).get(stage.key)
        return known.detail if known is not None else "its Job is not created yet"


def shell_objects(plan: Plan, stage: Stage) -> list[dict[str, Any]]:
    """Return the ConfigMap and the Job of `shell STAGE`, named `shell-<stage>`. Pure.

    The pod is that of the stage, with the same image, pool, inputs and variables. It runs `runtime.commands.in_pod`, ends
    after two hours, and is no stage to the driver.
    """
    objects = {item["kind"]: copy.deepcopy(item) for item in prepare(plan, stage)}
    name = f"shell-{stage.name}"
    config, job = objects["ConfigMap"], objects["Job"]
    before = job["metadata"]["name"]
    for metadata in (config["metadata"], job["metadata"], job["spec"]["template"]["metadata"]):
        metadata["labels"] = {**metadata.get("labels", {}), names.COMPONENT: "shell"}
    for item in (config, job):
        item["metadata"]["name"] = name
        item["metadata"].get("annotations", {}).pop(names.DIGEST, None)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    shape = "podFailurePolicy backoffLimitPerIndex maxFailedIndexes completionMode completions parallelism"
    for key in shape.split():
        spec.pop(key, None)  # one pod, whatever the stage has
    pod.pop("subdomain", None)
    spec |= {
        "backoffLimit": 0,
        "activeDeadlineSeconds": SHELL_SECONDS,
        "ttlSecondsAfterFinished": SHELL_TTL_SECONDS,
    }
    for volume in pod.get("volumes", ()):
        if volume.get("configMap", {}).get("name") == before:
            volume["configMap"]["name"] = name
    container = next(c for c in pod["containers"] if c["name"] == names.STAGE_CONTAINER)
    assert container["command"][-1] == "runtime", "the last word of a stage's command is the module"
    container["command"] = [*container["command"][:-1], "runtime.commands.in_pod", "shell"]
    return [with_digest(config), with_digest(job)]
