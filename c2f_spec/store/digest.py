"""BLAKE3 digests of files and folders: for data, where SHA-256 would cost more than the transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from c2f_spec.keys import content_key
from c2f_spec.spec.handoff import FileEntry

if TYPE_CHECKING:
    from pathlib import Path

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
