"""Create-if-absent for object storage that ignores `If-None-Match` (`S3Objects` asks each server once).

A writer first puts a claim of its own beside the name, waits until every claim made in the same second must be
visible, and looks at all of them: the oldest by the storage's clock, then the smallest nonce, may write the object.
This needs what such servers do have: a listing that shows every finished write. Two writers can both win only if one
of them stalls longer than `SETTLE` between the storage's timestamp and the moment its claim can be listed; then the
later write stands, and since records name their attempt's own files, what is read is still whole and consistent.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from c2f_spec.store.objects import Objects

SETTLE = 2.0
"""Seconds; listings tell whole seconds."""
STALE = 60.0
"""Seconds after which a claim whose writer put nothing counts no more."""


def create_by_claim(objects: Objects, name: str, data: bytes) -> bool:
    """As `Objects.create`, for an `objects` whose `replace` is a plain PUT."""
    standing = objects.read(name)
    if standing is not None:
        return standing == data
    started, mine = time.monotonic(), f"claims/{name}/{uuid.uuid4().hex}"
    objects.replace(mine, b"")
    try:
        time.sleep(SETTLE)
        claims = {item.name: item.modified for item in objects.listing(f"claims/{name}")}
        since = claims.get(mine)
        if since is None:
            raise Unreachable(
                f"the store {objects.url} does not list what was just written",
                hint="this storage cannot keep two writers apart; use one with conditional writes",
            )
        live = [(time_, claim) for claim, time_ in claims.items() if time_ > since - STALE]
        while not objects.exists(name):
            if min(live)[1] == mine and time.monotonic() - started < STALE / 2:
                objects.replace(name, data)
            elif time.monotonic() - started > STALE:
                raise Unreachable(
                    f"another writer claimed `{name}` in the store {objects.url} and wrote nothing",
                    hint="try again: its claim has expired",
                )
            else:
                time.sleep(SETTLE / 4)
        return objects.read(name) == data
    finally:
        objects.delete(mine)
