"""Probe a store: write a few bytes below `doctor/`, check what the protocol requires, and remove them.

Everything rests on one guarantee that not every server gives: creating an existing object fails. A server that ignores
`If-None-Match` lets two attempts at a stage both win, silently.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import HealthCheck, error, ok, warning
from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.store.protocol import ObjectStore

SKEW_SECONDS = 60.0
"""S3 refuses signatures that are 15 minutes off; a difference of a minute means that a clock is not synchronised."""


def probe(store: ObjectStore) -> list[HealthCheck]:
    """Return findings on write, read, conditional create, swap, list and remove, in that order, up to the first error."""
    found: list[HealthCheck] = []
    name = f"doctor/{uuid.uuid4().hex}"
    try:
        for finding in _steps(store, name):
            found.append(finding)
            if finding.level == "error":
                break
    except Unreachable as problem:
        found.append(
            error(f"store {store.url}", problem.message, problem.hint or "see its credentials and address")
        )
    return [*found, *_removed(store, (name, f"{name}-lease"))]


def _steps(store: ObjectStore, name: str) -> Iterator[HealthCheck]:
    what = f"store {store.url}"
    before = time.time()
    store.create(name, b"first")
    after = time.time()
    if store.read(name) != b"first":
        yield error(what, "what was written is not what is read", "is there a cache in between?")
    yield ok(what, "can be written and read")
    if store.create(name, b"second") or store.read(name) != b"first":
        fix = "use a store with conditional writes (If-None-Match): S3, MinIO, Ceph, SeaweedFS"
        yield error(what, "an object that exists was overwritten: two attempts could both win", fix)
    yield ok(what, "refuses to overwrite what exists")
    lease = f"{name}-lease"
    store.swap(lease, b"1", None)
    written = store.read_version(lease)
    if written is None or not store.swap(lease, b"2", written[1]) or store.swap(lease, b"3", written[1]):
        yield error(what, "compare-and-swap does not hold (If-Match)", "leases need it; use another store")
    yield ok(what, "compares and swaps")
    listed = [item for item in store.listing("doctor") if item.name == name]
    if not listed:
        yield error(
            what, "a listing does not show what was just written", "use a store with consistent listings"
        )
    skew = max(before - listed[0].modified, listed[0].modified - after, 0.0)
    if skew > SKEW_SECONDS:
        yield warning(
            what,
            f"its clock and ours are {skew:.0f} s apart",
            "set the clocks by NTP; S3 refuses requests that are 15 minutes off",
        )
    else:
        yield ok(what, f"its clock agrees with ours to {max(1.0, skew):.0f} s")


def _removed(store: ObjectStore, names: tuple[str, ...]) -> list[HealthCheck]:
    try:
        for name in names:
            store.delete(name)
    except Unreachable:
        # Right for stages: only the role of `gc` may delete.
        return [ok(f"store {store.url}", f"may not be deleted from: {names[0]} stays, and `gc` removes it")]
    return []
