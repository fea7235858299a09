"""Launch a plan on a cluster: dry run, withdraw older plans, replace outdated Jobs, start the driver.

Everything is named by the digest of the plan, so two people who apply it at once make one driver, and both follow it.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import Unreachable
from c2f_spec.plan.code import bundle, store_bundle
from c2f_spec.targets.kubernetes.bulk_apply import digest_of, digests
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS, resource_of
from c2f_spec.targets.kubernetes.errors import Conflict, Forbidden, NotFound, Rejected, Warned
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.plan_objects import running_plans
from c2f_spec.targets.kubernetes.status.termination import end_condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client, Resource
    from c2f_spec.targets.kubernetes.target import Request

Manifest = dict[str, Any]
DELETE_SECONDS = 30.0
"""How long the objects of a driver that has ended may take to go."""


class Refusal(NamedTuple):
    """One reason why a stage, or the driver, would not run."""

    stage: Stage | None
    field: str
    """Path in the manifest; empty if the server named none."""
    message: str


class PreflightResult(NamedTuple):
    """The result of a dry run."""

    refusals: list[Refusal]
    unchecked: list[str]
    """Sentences about what could not be checked."""


def preflight(client: Client, requests: Iterable[Request], driver: Iterable[Manifest]) -> PreflightResult:
    """Apply one stage of each kind and pool, and the driver's objects, as a dry run. Raise `Unreachable`.

    A server checks a Job and not the pods that it will create: what Pod Security, quotas or a missing PriorityClass
    would keep from ever running shows in a dry run of the bare pod. Stages of one kind in one pool differ in names and
    in the text of a ConfigMap alone. Raise `Forbidden` if this identity may not even create Jobs.
    """
    result = PreflightResult([], [])
    for item in driver:
        _dry_run(client, item, None, result)
    samples: dict[tuple[str, str], Request] = {}
    for request in requests:
        samples.setdefault((request.stage.kind, request.stage.placement.model_dump_json()), request)
    for request in samples.values():
        for item in request.objects:
            _dry_run(client, item, request.stage, result)
    unique = {(r.stage.key if r.stage else "", r.field, r.message): r for r in result.refusals}
    return PreflightResult([*unique.values()], list(dict.fromkeys(result.unchecked)))


def _dry_run(client: Client, item: Manifest, stage: Stage | None, result: PreflightResult) -> None:
    try:
        client.apply(item, dry_run=True)
        if item["kind"] == JOBS.kind:
            client.create(bare_pod(item), dry_run=True)
    except (NotFound, Rejected, Warned) as error:
        causes = error.causes or (("", error.detail),)
        result.refusals.extend(Refusal(stage, field, message) for field, message in causes)
    except Conflict:
        return  # it exists, and another manager owns a field of it: nothing that a dry run can decide
    except Forbidden as error:
        # RBAC answers 403, and so do admission plugins.
        if 'cannot create resource "pods' in error.detail:
            result.unchecked.append(
                "pods were not checked before: permission denied to this identity (`create pods`)"
            )
        elif error.status == 401 or any(
            f'cannot {v} resource "' in error.detail for v in ("create", "patch")
        ):
            raise
        else:
            result.refusals.append(Refusal(stage, "", error.detail))


def bare_pod(job: Manifest) -> Manifest:
    """Return the pod that a Job would create."""
    template, metadata = job["spec"]["template"], job["metadata"]
    name = f"{metadata['name']}-preflight"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template.get("metadata", {}), "name": name, "namespace": metadata["namespace"]},
        "spec": template["spec"],
    }


def withdraw_superseded_plans(client: Client, plan: Plan) -> list[str]:
    """Withdraw running plans of exactly these stages, whose drivers would create again what is replaced here.

    Return the starts of their digests.
    """
    keys = frozenset(stage.key for stage in plan.stages)
    older = [p for p in running_plans(client) if p.keys == keys and p.digest != plan.digest]
    for other in older:
        client.delete(CONFIGMAPS, names.plan_name(other.digest))
        client.delete(JOBS, names.driver_name(other.digest))
    return [other.digest[:10] for other in older]


class JobChange(NamedTuple):
    """A Job that was rendered differently: for another pool, other GPUs, another image."""

    job: str
    replaced: bool
    """It had not started and was deleted; otherwise it goes on as it was."""
    changes: str
    """`pool a800 -> h100, gpus 4 -> 8`; empty if its placement is the same."""

    def __str__(self) -> str:
        changes = f" ({self.changes})" if self.changes else ""
        if self.replaced:
            return f"{self.job} had not started: it is created again{changes}"
        move = "run `cancel` and `apply` to move it, from its last checkpoint"
        return f"{self.job} goes on as it was started{changes}; {move}"


def replace_unstarted_jobs(client: Client, groups: Sequence[Sequence[Manifest]]) -> list[JobChange]:
    """Delete the Jobs that differ from `groups` and have not started: the driver creates them as the plan says now.

    `groups` are the objects of stages as rendered now, the Job last. A Job's template cannot be changed. A Job that
    runs is left alone, because its result is the same wherever it runs.
    """
    served = digests(client, [group[-1] for group in groups])
    changes = []
    for group in groups:
        name = group[-1]["metadata"]["name"]
        digest = served.get((JOBS, name))
        if digest and digest != digest_of(group[-1]) and (change := _replace_job(client, group, name)):
            changes.append(change)
    return changes


def _replace_job(client: Client, group: Sequence[Manifest], name: str) -> JobChange | None:
    job = client.get(JOBS, name)
    if job is None or end_condition(job) or "deletionTimestamp" in job["metadata"]:
        return None
    changes = _placement_changes(client, group, name)
    pods = client.list(PODS, labels=f"{names.JOB_NAME}={name}")
    # Once a container has run there may be a checkpoint worth keeping, and hours were paid.
    if any(p.get("status", {}).get("phase") != "Pending" for p in pods):
        return JobChange(name, replaced=False, changes=changes)
    client.delete(JOBS, name, uid=job["metadata"]["uid"])
    for item in group[:-1]:  # immutable, like the Job's template
        client.delete(resource_of(item), item["metadata"]["name"])
    return JobChange(name, replaced=True, changes=changes)


def _placement_changes(client: Client, group: Sequence[Manifest], name: str) -> str:
    """Compare the placements of the stage files."""
    old = client.get(CONFIGMAPS, name)
    new = next((m for m in group if m["kind"] == "ConfigMap"), None)
    if old is None or new is None:
        return ""
    before, after = (
        json.loads(m.get("data", {}).get("stage.json", "{}")).get("placement", {}) for m in (old, new)
    )
    fields = [k for k in {**before, **after} if before.get(k) != after.get(k)]
    return ", ".join(f"{k} {before.get(k)} -> {after.get(k)}" for k in sorted(fields))


def driver_objects(plan: Plan) -> list[Manifest]:
    """Return the plan's ConfigMap and the driver's Job."""
    return [plan_map(plan), driver_job(plan, bundle("driver").digest)]


def store_code(store: ObjectStore) -> None:
    """Store the reviewed code, for stages and for the driver; no image is built for it."""
    for which in ("stage", "driver"):
        store_bundle(store, bundle(which))


def is_driven(client: Client, plan: Plan) -> bool:
    """Return true if a driver is working on this plan now."""
    job = client.get(JOBS, names.driver_name(plan.digest))
    config_map = client.get(CONFIGMAPS, names.plan_name(plan.digest))
    return job is not None and config_map is not None and not end_condition(job)


def start_driver(client: Client, plan: Plan) -> None:
    """Start the driver. Objects of a driver of this plan that has ended are deleted first.

    Raise `Unreachable` if they cannot be deleted.
    """
    objects = driver_objects(plan)
    for item in objects:
        resource, name = resource_of(item), item["metadata"]["name"]
        served = client.get(resource, name)
        # Neither the Job nor the ConfigMap can be changed.
        if served is not None and (end_condition(served) or digest_of(served) != digest_of(item)):
            _delete_and_wait(client, resource, served)
    for item in objects:
        client.apply(item)


def _delete_and_wait(client: Client, resource: Resource, served: Manifest) -> None:
    name, uid = served["metadata"]["name"], served["metadata"]["uid"]
    with contextlib.suppress(Conflict):  # another process replaced it a moment ago
        client.delete(resource, name, uid=uid)
    end = time.monotonic() + DELETE_SECONDS
    while (current := client.get(resource, name)) is not None and current["metadata"]["uid"] == uid:
        if time.monotonic() > end:
            raise Unreachable(
                f"timed out: {resource.kind} {name} of a driver that has ended is not deleted",
                hint=f"run `kubectl describe {resource.kind.lower()} {name}` to see whether a finalizer holds it",
            )
        time.sleep(0.2)
