"""`apply` of a plan whose stages have Jobs that were rendered otherwise: another pool, other GPUs, another image.

A Job's template cannot be changed, so a Job that has not begun is removed, and the driver makes it as the plan says now.
One that runs is left alone, because what it computes is the same wherever it runs, and its placement is told.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.targets.kubernetes.client import resource_of
from c2f_spec.targets.kubernetes.errors import Conflict, Gone, Rejected
from c2f_spec.targets.kubernetes.manifests import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from c2f_spec.targets.kubernetes.client import Client, Resource


Manifest = dict[str, Any]


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
            items = list_all(client, resource)
        for item in items:
            found[resource, item["metadata"]["name"]] = digest_of(item)
    return found


def list_all(client: Client, resource: Resource) -> list[BulkManifest]:
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
