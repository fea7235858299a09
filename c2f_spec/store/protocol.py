"""The protocol of a store: immutable objects under one root, in a folder of this machine or in a bucket.

An object is created whole or not at all, and never changed; `replace` and `swap` are for the few advisory objects that
change (progress, lease). The existence of a folder or prefix means nothing. Both kinds pass the same tests (tests/store/).

Names are relative paths with `/`. Every method raises `Unreachable` with the place when storage refuses, after the
retries that storage deserves; none waits without bound. README.md beside this module describes the layout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import FileEntry


class ObjectInfo(NamedTuple):
    """An object in a listing."""

    name: str
    size: int
    """Bytes."""
    modified: float
    """Seconds since the epoch by the clock of the store, which may differ from this machine's."""


class ObjectStore(Protocol):
    """Objects below one root."""

    url: str

    def read(self, name: str) -> bytes | None:
        """Return the bytes of the object, or `None` if it does not exist."""
        ...

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return name → bytes of those of `names` that exist, read in parallel."""
        ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return `length` bytes of an object from `start`. Raises `FileNotFoundError`; `Damaged` if it is shorter."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether the object exists."""
        ...

    def size(self, name: str) -> int | None:
        """Return the size of the object in bytes, or `None` if it does not exist."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write `data` if the object does not exist; return whether the stored bytes are now `data`.

        The answer to a write can be lost, so equal bytes count as written by the caller: callers that must distinguish
        themselves from other writers include a nonce.
        """
        ...

    def create_many(self, objects: Mapping[str, bytes]) -> None:
        """`create` each in parallel, for content that is the same whoever writes it."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Write `data` over whatever exists, whole. For advisory objects only."""
        ...

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        """Return the bytes of an advisory object and an opaque token of this version, or `None` if it does not exist."""
        ...

    def swap(self, name: str, data: bytes, version: str | None) -> bool:
        """Compare and swap: write `data` if the object still has `version` (`None`: does not exist). Return whether it did."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the objects below `prefix`, in order."""
        ...

    def listing(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects below `prefix` in the order of their names, with size and time."""
        ...

    def put_file(self, path: Path, name: str) -> None:
        """Copy a local file into the store. No other process may write `name`."""
        ...

    def get_file(self, name: str, path: Path, entry: FileEntry) -> None:
        """Download an object to `path`, whole. Raises `Damaged` if it has another digest than `entry`."""
        ...

    def put_folder(
        self, folder: Path, name: str, files: Mapping[str, FileEntry] | None = None
    ) -> dict[str, FileEntry]:
        """Store the files of a local folder below `name`, which carries an attempt's unique name.

        `files` are their digests, if known. Returns the entry of each file with its place: small ones may share an
        object (`FileEntry.shard`). The store takes the local folder over: it may be gone afterwards.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove an object if it exists. For garbage collection and retention only."""
        ...

    def local(self, name: str) -> Path | None:
        """Return the path of `name` if this store is a folder of this machine. Read only."""
        ...


def check_name(name: str) -> str:
    """Return `name`. Asserts that it stays inside a store and is the same key on every kind of storage."""
    assert NAME.fullmatch(name), f"not a name of an object: {name!r}"
    assert len(name.encode()) <= 900, f"too long for the key of an object: {name!r}"
    return name


NAME = re.compile(r"(?!\.{1,2}(?:/|$))[^/\x00-\x1f\\]+(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\\]+)*")
"""Names without an empty, `.` or `..` part and without control characters: servers differ on all of them."""
