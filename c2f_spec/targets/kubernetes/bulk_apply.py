"""`apply` of a plan whose stages have Jobs that were rendered otherwise: another pool, other GPUs, another image.

A Job's template cannot be changed, so a Job that has not begun is removed, and the driver makes it as the plan says now.
One that runs is left alone, because what it computes is the same wherever it runs, and its placement is told.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.kubernetes.errors import Conflict, Gone, Rejected
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.plan_objects import running
from c2f_spec.targets.kubernetes.resources import CONFIGMAPS, JOBS, PODS, resource_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.plan.model import Plan
    from c2f_spec.targets.kubernetes.client import Client
    from c2f_spec.targets.kubernetes.resources import Resource


Manifest = dict[str, Any]


def supersede(client: Client, plan: Plan) -> list[str]:
    """Withdraw running plans of exactly the same stages: their drivers would make again what is removed here.

    Returns the starts of their digests.
    """
    mine = frozenset(stage.key for stage in plan.stages)
    older = [p for p in running(client) if p.keys == mine and p.digest != plan.digest]
    for found in older:
        client.delete(CONFIGMAPS, names.plan_name(found.digest))
        client.delete(JOBS, names.driver_name(found.digest))
    return [found.digest[:10] for found in older]


class Adjusted(NamedTuple):
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


def adjust(client: Client, groups: Sequence[Sequence[Manifest]]) -> list[Adjusted]:
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


def _adjusted(client: Client, group: Sequence[Manifest], name: str) -> Adjusted | None:
    job = client.get(JOBS, name)
    if job is None or _ended(job) or "deletionTimestamp" in job["metadata"]:
        return None
    changes = _changes(client, group, name)
    if _begun(client, job):
        return Adjusted(name, replaced=False, changes=changes)
    client.delete(JOBS, name, uid=job["metadata"]["uid"])
    for item in group[:-1]:  # immutable, like the Job's template
        client.delete(resource_of(item), item["metadata"]["name"])
    return Adjusted(name, replaced=True, changes=changes)


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


# Many objects at once: one paged LIST of metadata says which differ, and only those are sent.
#
# Every object carries the digest of itself as it was rendered. What has the same digest on the server needs no request,
# so applying a thousand unchanged Jobs again costs a page or two of metadata and not a thousand requests.


OURS = f"{names.MANAGED_BY}={names.MANAGER}"
FEW = 20
"""Up to so many objects are asked for by name: a namespace may hold thousands of others."""

BulkManifest = dict[str, Any]


class Applied(NamedTuple):
    """What applying came to."""

    sent: int
    unchanged: int


def apply_all(
    client: Client, groups: Sequence[Sequence[BulkManifest]], *, before: Callable[[], None] = lambda: None
) -> Applied:
    """Make the cluster hold the objects; those of a group one after another, groups side by side.

    `before` is called before every write and may raise. Raises what the first write that failed raised, when those
    under way have ended.
    """
    wanted = [item for group in groups for item in group]
    held = digests(client, wanted)
    missing = [[m for m in group if held.get(_place(m)) != digest_of(m)] for group in groups]
    missing = [group for group in missing if group]

    def send(group: list[BulkManifest]) -> None:
        for item in group:
            before()
            _send(client, item)

    with ThreadPoolExecutor(client.transport.connections, "apply") as pool:
        futures = [pool.submit(send, group) for group in missing]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    sent = sum(map(len, missing))
    return Applied(sent, len(wanted) - sent)


def _send(client: Client, item: BulkManifest) -> None:
    """Apply one object. If it is there, for the same stage, as somebody else rendered it a moment ago, theirs is ours."""
    try:
        client.apply(item)
    except (Conflict, Rejected):
        standing = client.get(resource_of(item), item["metadata"]["name"])
        key = _annotation(item, names.KEY)
        if not key or standing is None or _annotation(standing, names.KEY) != key:
            raise


def digests(client: Client, wanted: Sequence[BulkManifest]) -> dict[tuple[Resource, str], str]:
    """(resource, name) → digest of what is on the server."""
    found: dict[tuple[Resource, str], str] = {}
    for resource in dict.fromkeys(resource_of(m) for m in wanted):
        asked = [m["metadata"]["name"] for m in wanted if resource_of(m) is resource]
        if len(asked) <= FEW:
            items = [item for name in asked if (item := client.get(resource, name)) is not None]
        else:
            items = whole_list(client, resource)
        for item in items:
            found[resource, item["metadata"]["name"]] = digest_of(item)
    return found


def whole_list(client: Client, resource: Resource) -> list[BulkManifest]:
    """Metadata of everything of ours; begun again if a page came too late."""
    while True:
        try:
            return list(client.list(resource, labels=OURS, metadata_only=True))
        except Gone:
            continue


def digest_of(item: BulkManifest) -> str:
    return _annotation(item, names.DIGEST)


def _annotation(item: BulkManifest, name: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(name, ""))


def _place(item: BulkManifest) -> tuple[Resource, str]:
    return resource_of(item), item["metadata"]["name"]
