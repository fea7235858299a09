"""BLAKE3 digests of files and folders: for data, where SHA-256 would cost more than the transfer."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

from blake3 import blake3

from c2f_spec.errors import Damaged
from c2f_spec.keys import content_key
from c2f_spec.spec.handoff import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from c2f_spec.store.protocol import ObjectStore


BUFFER = 8 << 20


def digest_file(path: Path) -> FileEntry:
    """Size in bytes and BLAKE3 of `path`: on all cores, in bounded memory (a mapped file would count as ours)."""
    size = path.stat().st_size
    hasher, buffer = blake3(max_threads=blake3.AUTO), memoryview(bytearray(min(size, BUFFER) or 1))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    return FileEntry(size=size, blake3=hasher.hexdigest())


def digest_folder(folder: Path) -> dict[str, FileEntry]:
    """Every file below `folder` by its path relative to it, in order."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): digest_file(p) for p in files}


def digest_of(files: dict[str, FileEntry]) -> str:
    """One digest of a folder: SHA-256 over its paths, sizes and digests."""
    return content_key({path: [entry.size, entry.blake3] for path, entry in files.items()})


# Small JSON objects that carry their own digest, so that a changed byte of any of them is noticed and named.
#
# Bytes in a bucket pass through clients, proxies and disks of which each lets some damage through. A record decides
# what is read and what is computed again, so it is not believed without its seal.


T = TypeVar("T")

SEAL = "seal"
TRIES = 4
"""Readings of a damaged object before it is the stored one that is damaged, and not its way here."""


def seal(value: Mapping[str, Any]) -> bytes:
    """`value` as JSON, with the SHA-256 of what it is without the seal."""
    bare = json.dumps(value, indent=1)
    return json.dumps({**value, SEAL: hashlib.sha256(bare.encode()).hexdigest()}, indent=1).encode()


def unseal(data: bytes) -> dict[str, Any] | None:
    """The value, or `None` if a byte was changed."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    value.pop(SEAL, None)
    return value if seal(value) == data else None


def read_sealed(store: ObjectStore, name: str, remedy: str) -> dict[str, Any] | None:
    """The value of an object, or `None` if there is none. Raises `Damaged` naming it if it is damaged."""
    return _opened(store, name, store.read(name), remedy)


def read_all_sealed(store: ObjectStore, names: Iterable[str], remedy: str) -> dict[str, dict[str, Any]]:
    """Name to value, of those that exist."""
    found = store.read_many(names).items()
    values = ((name, _opened(store, name, data, remedy)) for name, data in found)
    return {name: value for name, value in values if value is not None}


def _opened(store: ObjectStore, name: str, data: bytes | None, remedy: str) -> dict[str, Any] | None:
    damaged = Damaged(f"{name} in {store.url} is damaged", hint=remedy)
    return None if data is None else reread_until_valid(store, name, data, unseal, damaged)


def reread_until_valid(
    store: ObjectStore, name: str, data: bytes, opened: Callable[[bytes], T | None], damaged: Damaged
) -> T:
    """What `opened` makes of an object's bytes, which are asked for again while it makes nothing of them.

    Raises `damaged` when that does not help: then it is the stored object, and not its way here.
    """
    for _ in range(TRIES):
        value = opened(data)
        if value is not None:
            return value
        data = store.read(name) or b""
    raise damaged
