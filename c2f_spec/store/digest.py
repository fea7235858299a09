"""Digests of files and folders, and sealed JSON objects, which carry their own digest.

Files are digested by BLAKE3: SHA-256 would cost more than their transfer. Small JSON objects carry a SHA-256 seal, so that
a changed byte is noticed and the object named. Bytes in a bucket pass through clients, proxies and disks that each let
some damage through; a record decides what is read and what is computed again, so it is not read without its seal.
"""

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


T = TypeVar("T")

BUFFER = 8 << 20
"""Bytes that are read from a file at a time."""
SEAL = "seal"
"""The field of a sealed object that holds the SHA-256 of the rest."""
TRIES = 4
"""Reads of a damaged object before the stored bytes count as damaged, and not their transfer."""


def digest_file(path: Path) -> FileEntry:
    """Return size in bytes and BLAKE3 of `path`. Uses all cores and bounded memory (a mapped file would count as ours)."""
    size = path.stat().st_size
    hasher, buffer = blake3(max_threads=blake3.AUTO), memoryview(bytearray(min(size, BUFFER) or 1))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    return FileEntry(size=size, blake3=hasher.hexdigest())


def digest_folder(folder: Path) -> dict[str, FileEntry]:
    """Return the entry of every file below `folder` by its relative path, in order."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): digest_file(p) for p in files}


def digest_of(files: dict[str, FileEntry]) -> str:
    """Return one digest of a folder: SHA-256 over the paths, sizes and digests of its files."""
    return content_key({path: [entry.size, entry.blake3] for path, entry in files.items()})


def seal(value: Mapping[str, Any]) -> bytes:
    """Return `value` as JSON with its seal: the SHA-256 of the JSON without the seal."""
    bare = json.dumps(value, indent=1)
    return json.dumps({**value, SEAL: hashlib.sha256(bare.encode()).hexdigest()}, indent=1).encode()


def unseal(data: bytes) -> dict[str, Any] | None:
    """Return the value of a sealed object, or `None` if a byte was changed."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    value.pop(SEAL, None)
    return value if seal(value) == data else None


def read_sealed(store: ObjectStore, name: str, remedy: str) -> dict[str, Any] | None:
    """Return the value of a sealed object, or `None` if it does not exist. Raises `Damaged` with `remedy` as the hint."""
    return _unsealed(store, name, store.read(name), remedy)


def read_all_sealed(store: ObjectStore, names: Iterable[str], remedy: str) -> dict[str, dict[str, Any]]:
    """Return name → value of those of `names` that exist. Raises as `read_sealed` does."""
    found = store.read_many(names).items()
    values = ((name, _unsealed(store, name, data, remedy)) for name, data in found)
    return {name: value for name, value in values if value is not None}


def _unsealed(store: ObjectStore, name: str, data: bytes | None, remedy: str) -> dict[str, Any] | None:
    damaged = Damaged(f"{name} in {store.url} is damaged", hint=remedy)
    return None if data is None else reread_until_valid(store, name, data, unseal, damaged)


def reread_until_valid(
    store: ObjectStore, name: str, data: bytes, parse: Callable[[bytes], T | None], damaged: Damaged
) -> T:
    """Return what `parse` makes of the bytes of `name`; read them again, `TRIES` times, while it returns `None`.

    Raises `damaged` when that does not help: then the stored object is damaged, and not its transfer.
    """
    for _ in range(TRIES):
        value = parse(data)
        if value is not None:
            return value
        data = store.read(name) or b""
    raise damaged
