"""What a store is: immutable objects under one root, in a folder of this machine or in a bucket of object storage.

An object is created whole or not at all, and never changed; `replace` and `swap` are for the advisory files that are
not objects in this sense (progress and lease). No folder's or prefix's existence means anything. Both kinds keep one
set of tests (tests/store/).

Names are relative paths with `/`. Every method raises `Unreachable` with the place when storage refuses, after the
retries that storage deserves; none waits without bound.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import FileEntry


class ObjectInfo(NamedTuple):
    """One line of a listing."""

    name: str
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch by the clock of the store, which need not be ours."""


class ObjectStore(Protocol):
    """A store's root."""

    url: str

    def read(self, name: str) -> bytes | None:
        """The object, or `None` if there is none."""
        ...

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those of `names` that exist, read side by side."""
        ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """`length` bytes of an object from `start`. Raises `FileNotFoundError`; `Unreachable` if it is shorter."""
        ...

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int | None:
        """Bytes of the object, or `None` if there is none."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Put `data` where nothing is, and tell whether `data` is what stands now.

        An answer to a write can be lost, so bytes equal to `data` count as ours: callers that must tell themselves from
        others put a nonce in.
        """
        ...

    def create_many(self, objects: Mapping[str, bytes]) -> None:
        """`create` each, side by side, for content that is the same whoever writes it."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of whatever was there, whole. For progress and the like only."""
        ...

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        """An object that changes, and a word for its present version."""
        ...

    def swap(self, name: str, data: bytes, version: str | None) -> bool:
        """Put `data` in place of the `version` that was read, or of nothing; false if somebody was faster."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Names of the objects below `prefix`, in order."""
        ...

    def listing(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below `prefix` in the order of their names, with size and time."""
        ...

    def put_file(self, path: Path, name: str) -> None:
        """Store a local file, which stays. Nobody else writes to `name`."""
        ...

    def get_file(self, name: str, path: Path, entry: FileEntry) -> None:
        """Bring an object to `path`, whole and with the digest of `entry`; raises `Damaged` if it is not that."""
        ...

    def put_folder(
        self, folder: Path, name: str, files: Mapping[str, FileEntry] | None = None
    ) -> dict[str, FileEntry]:
        """Store the files of a local folder below `name`, which carries an attempt's unique name.

        `files` are their digests, if known. Returns where each lies: small ones may share an object
        (`FileEntry.shard`). The local folder is given away: it may be gone afterwards.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object, if it is there. For garbage collection and retention only."""
        ...

    def local(self, name: str) -> Path | None:
        """Where `name` lies, if this store is a folder of this machine. Read only."""
        ...


def check_name(name: str) -> str:
    """`name`, if it stays inside a store and is the same key on every kind of storage. A wrong one is a bug."""
    assert NAME.fullmatch(name), f"not a name of an object: {name!r}"
    assert len(name.encode()) <= 900, f"too long for the key of an object: {name!r}"
    return name


NAME = re.compile(r"(?!\.{1,2}(?:/|$))[^/\x00-\x1f\\]+(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\\]+)*")
"""No empty, `.` or `..` part, no control characters: servers differ on all of them."""
