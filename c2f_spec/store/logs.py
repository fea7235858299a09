"""The log of a stage in the store: `work/<kind>/<key>/logs/<attempt>/<number>`, pieces of bounded size in their order.

The runtime writes them while the stage works, secrets masked; they outlive the process, the pod and the node.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.store.objects import Objects


def piece_name(kind: str, key: str, attempt: str, number: int) -> str:
    return f"{_prefix(kind, key)}/{attempt}/{number:06}"


def stored_log(objects: Objects, kind: str, key: str) -> Iterator[str]:
    """The lines of every attempt, the earliest first, each below a line with the time of its first piece."""
    attempts: dict[str, list[str]] = {}
    began: dict[str, float] = {}
    for each in objects.listing(_prefix(kind, key)):
        attempt = each.name.split("/")[-2]
        attempts.setdefault(attempt, []).append(each.name)
        began.setdefault(attempt, each.modified)
    for attempt in sorted(attempts, key=lambda a: began[a]):
        yield f"--- attempt of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began[attempt]))}"
        pieces = objects.read_many(attempts[attempt])
        text = b"".join(pieces.get(name, b"") for name in attempts[attempt])
        yield from text.decode(errors="replace").splitlines()


def _prefix(kind: str, key: str) -> str:
    return f"work/{kind}/{key}/logs"
