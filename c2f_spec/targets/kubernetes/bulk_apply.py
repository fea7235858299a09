"""Apply many objects at once: one paged LIST of metadata says which differ, and only those are sent.

Every object carries the digest of itself as it was rendered. An object with the same digest on the server needs no
request, so applying a thousand unchanged Jobs again costs a page or two of metadata and not a thousand requests.
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
MAX_GETS = 20
"""Up to this number, objects are read by name: a namespace may hold thousands of others."""


class Applied(NamedTuple):
    """Numbers of objects that were sent, and that were not."""

    sent: int
    unchanged: int


def apply_all(
    client: Client, groups: Sequence[Sequence[Manifest]], *, before: Callable[[], None] = lambda: None
) -> Applied:
    """Make the cluster hold the objects; those of a group one after another, groups side by side.

    `before` is called before every write and may raise. Raise what the first write that failed raised, when the writes
    that had started have ended.
    """
    items = [item for group in groups for item in group]
    served = digests(client, items)
    missing = [[m for m in group if served.get(_identity(m)) != digest_of(m)] for group in groups]
    missing = [group for group in missing if group]

    def send(group: list[Manifest]) -> None:
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
    return Applied(sent, len(items) - sent)


def _send(client: Client, item: Manifest) -> None:
    """Apply one object. An object of the same stage that another process rendered a moment ago is accepted."""
    try:
        client.apply(item)
    except (Conflict, Rejected):
        served = client.get(resource_of(item), item["metadata"]["name"])
        key = _annotation(item, names.KEY)
        if not key or served is None or _annotation(served, names.KEY) != key:
            raise


def digests(client: Client, items: Sequence[Manifest]) -> dict[tuple[Resource, str], str]:
    """Return the digests of the objects of these names that are on the server."""
    found: dict[tuple[Resource, str], str] = {}
    for resource in dict.fromkeys(map(resource_of, items)):
        requested = [m["metadata"]["name"] for m in items if resource_of(m) is resource]
        if len(requested) <= MAX_GETS:
            served = [item for name in requested if (item := client.get(resource, name)) is not None]
        else:
            served = list_all(client, resource)
        found |= {(resource, item["metadata"]["name"]): digest_of(item) for item in served}
    return found


def list_all(client: Client, resource: Resource) -> list[Manifest]:
    """Return the metadata of every object of c2f-spec; listed again if a page expired."""
    while True:
        try:
            return list(client.list(resource, labels=names.OURS, metadata_only=True))
        except Gone:
            continue


def digest_of(item: Manifest) -> str:
    return _annotation(item, names.DIGEST)


def _annotation(item: Manifest, name: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(name, ""))


def _identity(item: Manifest) -> tuple[Resource, str]:
    return resource_of(item), item["metadata"]["name"]
