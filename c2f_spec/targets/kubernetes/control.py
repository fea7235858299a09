"""A cluster from outside: the verbs about a running plan. Reads much, and writes only what its verb says."""

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
from c2f_spec.targets.kubernetes.plan_objects import other_plans, running_plans
from c2f_spec.targets.kubernetes.pod_logs import StageLogs
from c2f_spec.targets.kubernetes.snapshot import JOB_NAME, STAGES, load_snapshot, target_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.cluster import KubernetesEnvironment
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.base import Status
    from c2f_spec.targets.kubernetes.client import Client


FORGIVEN = "c2f-spec/forgiven"
"""Annotation of a plan's ConfigMap: when somebody forgave a failure. The driver sees it change and looks again."""
SLACK_SECONDS = 60.0
"""Beyond the grace of pods, before what is left is called left over."""
HEED_SECONDS = 1.5
"""A driver has seen what it was told by then (watch, and the swarm that it gathers): what is removed stays away."""


class Cluster:
    """The stages of plans in one namespace."""

    def __init__(self, client: Client, store: ObjectStore, environment: KubernetesEnvironment) -> None:
        self.client, self.store, self.environment = client, store, environment

    def statuses(self, stages: Sequence[Stage]) -> dict[str, Status]:
        found = load_snapshot(self.client, stages, self.environment.scheduler.kind)
        return {key: target_status(seen) for key, seen in found.items()}

    def logs(self, stage: Stage, *, follow: bool = False) -> Iterator[str]:
        log = StageLogs(self.client, self.store, stage)
        if not follow:
            return log.all()
        return log.follow(lambda: self._over(stage), lambda: self._waits_for(stage))

    def plans_that_need(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        return other_plans(running_plans(self.client), plan.digest)

    def withdraw(self, plan: Plan) -> None:
        """The wish first, because the driver's Job would make a new driver."""
        self.client.delete(CONFIGMAPS, names.plan_name(plan.digest))
        self.client.delete(JOBS, names.driver_name(plan.digest))

    def cancel(self, stages: Sequence[Stage], say: Callable[[str], None]) -> None:
        wanted = {stage.key: stage for stage in stages}
        jobs = [
            job["metadata"]["name"]
            for job in self.client.list(
                JOBS, labels=f"{plan_objects.OURS},app.kubernetes.io/component=stage", metadata_only=True
            )
            if (job["metadata"].get("annotations") or {}).get(names.KEY) in wanted
        ]
        for name in jobs:
            self.client.delete(JOBS, name)
        said = ""
        end = time.monotonic() + self.environment.limits.grace_seconds + SLACK_SECONDS
        while pods := self._pods(jobs):
            now = f"{', '.join(pods[:5])}{f' and {len(pods) - 5} more' if len(pods) > 5 else ''}: saving, at most {self.environment.limits.grace_seconds} s"
            if now != said:
                say(now)
                said = now
            if time.monotonic() > end:
                raise Unreachable(
                    f"{pods[0]} does not end", hint=f"kubectl describe pod {pods[0]}; is its node there?"
                )
            time.sleep(plan_objects.POLL_SECONDS)

    def notify_retry(self, plan: Plan) -> None:
        now, keys = datetime.now(UTC).isoformat(), {stage.key for stage in plan.stages}
        told = False
        for other in running_plans(self.client):
            if other.keys & keys:
                change = {"metadata": {"annotations": {FORGIVEN: now}}}
                with contextlib.suppress(NotFound):  # it has ended a moment ago
                    self.client.patch(CONFIGMAPS, names.plan_name(other.digest), change)
                    told = True
        if told:
            time.sleep(HEED_SECONDS)

    def deletable(self, plan: Plan, kept: Iterable[str]) -> list[str]:
        return [str(f) for f in self._belongings(plan, kept)]

    def delete(self, plan: Plan, kept: Iterable[str], say: Callable[[str], None]) -> list[str]:
        self.withdraw(plan)
        seconds = self.environment.limits.grace_seconds + SLACK_SECONDS
        left: list[plan_objects.PlanObject] = []
        while not left and (
            found := self._belongings(plan, kept)
        ):  # again: a driver may have been making one
            plan_objects.delete_objects(self.client, found)
            left = plan_objects.wait_until_deleted(self.client, found, seconds=seconds, say=say)
        return [str(f) for f in left]

    def shell(self, plan: Plan, stage: Stage) -> str:
        for item in shell_objects(plan, stage):
            self.client.apply(item)
        return exec_command(self.client.namespace, stage)

    def _belongings(self, plan: Plan, kept: Iterable[str]) -> list[plan_objects.PlanObject]:
        return plan_objects.objects_of_plan(
            plan_objects.list_objects(self.client), plan.digest, [s.key for s in plan.stages], kept
        )

    def _pods(self, jobs: Iterable[str]) -> list[str]:
        """Pods of some Jobs. All of ours are listed: the names of a thousand Jobs are too long for a selector."""
        wanted = set(jobs)
        if not wanted:
            return []
        pods = self.client.list(PODS, labels=STAGES, metadata_only=True)
        return [
            p["metadata"]["name"] for p in pods if p["metadata"].get("labels", {}).get(JOB_NAME) in wanted
        ]

    def _over(self, stage: Stage) -> bool:
        """No attempt comes any more: it is done or failed, or nobody makes a Job for it."""
        if self.store.exists(records.record_name(stage.kind, stage.key)):
            return True
        if records.is_failed(self.store, stage.kind, stage.key):
            return True
        known = self.statuses([stage]).get(stage.key)
        return (known is None or known.state is not State.RUNNING) and not self._wanted(stage)

    def _wanted(self, stage: Stage) -> bool:
        """Some plan that is running will make a Job of it."""
        for item in self.client.list(
            CONFIGMAPS, labels=f"{plan_objects.OURS},app.kubernetes.io/component=plan"
        ):
            keys = json.loads((item.get("data") or {}).get("keys", "[]"))
            if any(entry["key"] == stage.key for entry in keys):
                return True
        return False

    def _waits_for(self, stage: Stage) -> str:
        known = self.statuses([stage]).get(stage.key)
        return known.detail if known is not None else "its Job is not made yet"


# The Job of `shell STAGE`: the stage's own pod, with the same image, node pool, inputs and variables, asleep.
#
# Pure. What differs from the stage's Job: it runs `runtime.commands.shell` instead of the stage, it ends after two hours and goes
# ten minutes later, and it is nobody's stage: the driver does not see it.


SECONDS = 2 * 3600
GONE_AFTER_SECONDS = 600
COMPONENT = "app.kubernetes.io/component"


def shell_objects(plan: Plan, stage: Stage) -> list[dict[str, Any]]:
    """Its ConfigMap and its Job, named `shell-<stage>`."""
    found = {item["kind"]: copy.deepcopy(item) for item in prepare(plan, stage)}
    name = f"shell-{stage.name}"
    config, job = found["ConfigMap"], found["Job"]
    before = job["metadata"]["name"]
    for metadata in (config["metadata"], job["metadata"], job["spec"]["template"]["metadata"]):
        metadata["labels"] = {**metadata.get("labels", {}), COMPONENT: "shell"}
    for item in (config, job):
        item["metadata"]["name"] = name
        item["metadata"].get("annotations", {}).pop(names.DIGEST, None)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    for key in (
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "completionMode",
        "completions",
        "parallelism",
    ):
        spec.pop(key, None)  # one pod, whatever the stage has
    pod.pop("subdomain", None)
    spec |= {
        "backoffLimit": 0,
        "activeDeadlineSeconds": SECONDS,
        "ttlSecondsAfterFinished": GONE_AFTER_SECONDS,
    }
    for volume in pod.get("volumes", ()):
        if volume.get("configMap", {}).get("name") == before:
            volume["configMap"]["name"] = name
    container = next(c for c in pod["containers"] if c["name"] == names.STAGE_CONTAINER)
    assert container["command"][-1] == "runtime", "the last word of a stage's command is the module"
    container["command"] = [*container["command"][:-1], "runtime.commands.shell"]
    return [with_digest(config), with_digest(job)]


def exec_command(namespace: str, stage: Stage) -> str:
    """The command that enters it."""
    return f"kubectl exec -it -n {namespace} job/shell-{stage.name} -c {names.STAGE_CONTAINER} -- bash"
