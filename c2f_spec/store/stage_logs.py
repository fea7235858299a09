"""Read the log of a stage from the store: pieces of bounded size, `work/<kind>/<key>/logs/<attempt>/<number>`.

The runtime writes them while the stage works, secrets masked; they outlive the process, the pod and the node.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.store.protocol import ObjectStore


def piece_name(kind: str, key: str, attempt: str, number: int) -> str:
    return f"{_prefix(kind, key)}/{attempt}/{number:06}"


def read_log(store: ObjectStore, kind: str, key: str) -> Iterator[str]:
    """Yield the lines of every attempt, the earliest first, below a line with the time of its first piece."""
    for attempt, began in attempts(store, kind, key).items():
        yield f"--- attempt of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(began))}"
        yield from attempt_lines(store, kind, key, attempt)


def attempts(store: ObjectStore, kind: str, key: str) -> dict[str, float]:
    """Return attempt → time of its first piece in seconds since the epoch, the earliest first."""
    began: dict[str, float] = {}
    for each in store.listing(_prefix(kind, key)):
        began.setdefault(each.name.split("/")[-2], each.modified)
    return dict(sorted(began.items(), key=lambda item: item[1]))


def attempt_lines(store: ObjectStore, kind: str, key: str, attempt: str) -> Iterator[str]:
    """Yield the lines of one attempt."""
    names = list(store.names(f"{_prefix(kind, key)}/{attempt}"))
    pieces = store.read_many(names)
    yield from b"".join(pieces.get(name, b"") for name in names).decode(errors="replace").splitlines()


def last_attempt_lines(store: ObjectStore, kind: str, key: str) -> list[str]:
    """Return the lines of the last attempt; none if no attempt has a log."""
    found = list(attempts(store, kind, key))
    return [*attempt_lines(store, kind, key, found[-1])] if found else []


def _prefix(kind: str, key: str) -> str:
    return f"work/{kind}/{key}/logs"
