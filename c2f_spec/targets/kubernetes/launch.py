"""Set a plan going: what its driver needs in the store, the plan's ConfigMap, and the driver's Job.

Everything is named by the digest of the plan, so two people who apply it at once make one driver, and both follow it.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.errors import Unreachable
from c2f_spec.plan.code import bundle, store_bundle
from c2f_spec.targets.kubernetes.bulk_apply import Manifest, digest_of, digests
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS, resource_of
from c2f_spec.targets.kubernetes.errors import ApiError, Conflict, Forbidden, NotFound, Rejected, Warned
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.driver import driver_job, plan_map
from c2f_spec.targets.kubernetes.plan_objects import running_plans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore
    from c2f_spec.targets.kubernetes.client import Client, Resource
    from c2f_spec.targets.kubernetes.target import Request


class Refusal(NamedTuple):
    """One reason why a stage, or the driver, would not run."""

    stage: Stage | None
    field: str
    """Path in the manifest; empty if the server named none."""
    message: str


class PreflightResult(NamedTuple):
    """What a preflight found."""

    refusals: list[Refusal]
    unchecked: list[str]
    """What could not be asked, in words."""


def preflight(
    client: Client, requests: Iterable[Request], driver: Iterable[dict[str, Any]]
) -> PreflightResult:
    """Ask for one stage of each kind and pool, and for the driver's objects. Raises `Unreachable`.

    Raises `Forbidden` if we may not even ask for Jobs: `doctor` says what is missing.
    """
    found = PreflightResult([], [])
    for item in driver:
        _ask(client, item, None, found)
    for request in _one_of_each(requests):
        for item in request.objects:
            _ask(client, item, request.stage, found)
    told = {(r.stage.key if r.stage else "", r.field, r.message): r for r in found.refusals}
    return PreflightResult([*told.values()], list(dict.fromkeys(found.unchecked)))


def _one_of_each(requests: Iterable[Request]) -> list[Request]:
    seen: dict[tuple[str, str], Request] = {}
    for request in requests:
        placement = request.stage.placement.model_dump_json()
        seen.setdefault((request.stage.kind, placement), request)
    return list(seen.values())


def _ask(client: Client, item: dict[str, Any], stage: Stage | None, found: PreflightResult) -> None:
    try:
        client.apply(item, dry_run=True)
        if item["kind"] == JOBS.kind:
            client.create(bare_pod(item), dry_run=True)
    except (NotFound, Rejected, Warned) as error:
        causes = error.causes or (("", error.detail),)
        found.refusals.extend(Refusal(stage, field, message) for field, message in causes)
    except Conflict:
        return  # it is there already, and somebody else owns a field of it: nothing that a preflight can say
    except Forbidden as error:
        if _by_rights(error, PODS.plural):
            found.unchecked.append(
                "pods were not checked beforehand: this identity may not create any (`create pods`)"
            )
        elif _by_rights(error, ""):
            raise
        else:
            found.refusals.append(Refusal(stage, "", error.detail))


def _by_rights(error: ApiError, plural: str) -> bool:
    """RBAC says so, and not one of the admission plugins, which answer 403 as well."""
    return f'cannot create resource "{plural}' in error.detail or (
        not plural and (f'cannot patch resource "{plural}' in error.detail or error.status == 401)
    )


def bare_pod(job: dict[str, Any]) -> dict[str, Any]:
    """The bare pod that a Job would make."""
    template, metadata = job["spec"]["template"], job["metadata"]
    name = f"{metadata['name']}-preflight"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template.get("metadata", {}), "name": name, "namespace": metadata["namespace"]},
        "spec": template["spec"],
    }


CLEARED_SECONDS = 30.0


def driver_objects(plan: Plan) -> list[dict[str, Any]]:
    """The plan's ConfigMap and the driver's Job."""
    return [plan_map(plan), driver_job(plan, bundle("driver").digest)]


def is_driven(client: Client, plan: Plan) -> bool:
    """Whether a driver is at this plan now."""
    job = client.get(JOBS, names.driver_name(plan.digest))
    wish = client.get(CONFIGMAPS, names.plan_name(plan.digest))
    return job is not None and wish is not None and not end_condition(job)


def end_condition(job: dict[str, Any]) -> str:
    """`Complete` or `Failed` of a Job that has ended, else nothing."""
    conditions = job.get("status", {}).get("conditions", ())
    return next(
        (c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), ""
    )


def store_code(store: ObjectStore) -> None:
    """The reviewed code, for stages and for the driver; no image is built for it."""
    for what in ("stage", "driver"):
        store_bundle(store, bundle(what))


def start_driver(client: Client, plan: Plan) -> None:
    """Start the driver. What is left of one that has ended, for this very plan, makes room for the next.

    Raises `Unreachable` if that does not go.
    """
    wanted = driver_objects(plan)
    for item in wanted:
        resource, name = resource_of(item), item["metadata"]["name"]
        standing = client.get(resource, name)
        # Neither a Job nor a ConfigMap of ours can be changed.
        if standing is not None and (end_condition(standing) or digest_of(standing) != digest_of(item)):
            _clear(client, resource, standing)
    for item in wanted:
        client.apply(item)


def _clear(client: Client, resource: Resource, standing: dict[str, Any]) -> None:
    name, uid = standing["metadata"]["name"], standing["metadata"]["uid"]
    with contextlib.suppress(Conflict):  # somebody else replaced it a moment ago: theirs is ours
        client.delete(resource, name, uid=uid)
    end = time.monotonic() + CLEARED_SECONDS
    while (found := client.get(resource, name)) is not None and found["metadata"]["uid"] == uid:
        if time.monotonic() > end:
            raise Unreachable(
                f"{resource.kind} {name} of a driver that has ended does not go",
                hint="does a finalizer hold it? `kubectl describe` tells",
            )
        time.sleep(0.2)


# `apply` of a plan whose stages have Jobs that were rendered otherwise: another pool, other GPUs, another image.
#
# A Job's template cannot be changed, so a Job that has not begun is removed, and the driver makes it as the plan says now.
# One that runs is left alone, because what it computes is the same wherever it runs, and its placement is told.


def withdraw_superseded_plans(client: Client, plan: Plan) -> list[str]:
    """Withdraw running plans of exactly the same stages: their drivers would make again what is removed here.

    Returns the starts of their digests.
    """
    mine = frozenset(stage.key for stage in plan.stages)
    older = [p for p in running_plans(client) if p.keys == mine and p.digest != plan.digest]
    for found in older:
        client.delete(CONFIGMAPS, names.plan_name(found.digest))
        client.delete(JOBS, names.driver_name(found.digest))
    return [found.digest[:10] for found in older]


class JobChange(NamedTuple):
    """A Job that was rendered otherwise."""

    job: str
    replaced: bool
    """It had not begun and was removed; else it runs on as it was."""
    changes: str
    """`pool a800 -> h100, gpus 4 -> 8`; nothing if its placement is the same."""

    def __str__(self) -> str:
        what = f" ({self.changes})" if self.changes else ""
        if self.replaced:
            return f"{self.job} had not begun: it is made anew{what}"
        return f"{self.job} runs on as it was started{what}; `cancel` and `apply` move it, from its last checkpoint"


def replace_unstarted_jobs(client: Client, groups: Sequence[Sequence[Manifest]]) -> list[JobChange]:
    """`groups` are the objects of stages as rendered now, the Job last. Removes what has not begun and differs."""
    held = digests(client, [group[-1] for group in groups])
    found = []
    for group in groups:
        job = group[-1]
        name = job["metadata"]["name"]
        standing = held.get((JOBS, name))
        if standing and standing != digest_of(job):
            adjusted = _adjusted(client, group, name)
            if adjusted is not None:
                found.append(adjusted)
    return found


def _adjusted(client: Client, group: Sequence[Manifest], name: str) -> JobChange | None:
    job = client.get(JOBS, name)
    if job is None or _ended(job) or "deletionTimestamp" in job["metadata"]:
        return None
    changes = _changes(client, group, name)
    if _begun(client, job):
        return JobChange(name, replaced=False, changes=changes)
    client.delete(JOBS, name, uid=job["metadata"]["uid"])
    for item in group[:-1]:  # immutable, like the Job's template
        client.delete(resource_of(item), item["metadata"]["name"])
    return JobChange(name, replaced=True, changes=changes)


def _ended(job: Manifest) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _begun(client: Client, job: Manifest) -> bool:
    """A container of it has run: there may be a checkpoint worth keeping, and hours were paid."""
    pods = client.list(PODS, labels=f"batch.kubernetes.io/job-name={job['metadata']['name']}")
    return any(p.get("status", {}).get("phase") != "Pending" for p in pods)


def _changes(client: Client, group: Sequence[Manifest], name: str) -> str:
    """By the stage files of both."""
    old = client.get(CONFIGMAPS, name)
    new = next((m for m in group if m["kind"] == "ConfigMap"), None)
    if old is None or new is None:
        return ""
    before, after = (
        json.loads(m.get("data", {}).get("stage.json", "{}")).get("placement", {}) for m in (old, new)
    )
    differ = [k for k in {**before, **after} if before.get(k) != after.get(k)]
    return ", ".join(f"{k} {before.get(k)} -> {after.get(k)}" for k in sorted(differ))
