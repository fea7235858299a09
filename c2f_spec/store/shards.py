"""Pack small files into shards: many clips in one object of up to 200 MB, a tar that any tool opens.

A request costs more than a clip's bytes, so fewer objects are the largest gain there is (`python -m tests.bench store`
has both). Where each file lies is in its entry (`FileEntry.shard`, `offset`), so one clip can be read alone, and each
is verified by its own digest, as if it lay by itself.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import FileEntry

SMALL = 4 << 20
"""Bytes below which a file is packed."""
FEW = 8
"""Fewer small files than this are not packed."""
SHARD = 200 << 20
"""Bytes of a full shard: between 100 and 250 MB, where throughput no longer grows and a retry is still cheap."""
BLOCK = 512
"""Tar's unit: a header is one, contents are padded to it (POSIX.1-1988 ustar)."""
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class UploadObject:
    """One object to upload, and the files that it holds."""

    name: str
    size: int
    parts: tuple[tuple[str, Path], ...]
    """Path in the folder, and local file. A single pair if the object is the file itself."""
    shard: bool

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the object, read lazily."""
        for name, path in self.parts:
            if self.shard:
                yield _header(name, path.stat().st_size)
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
            if self.shard:
                yield bytes(-path.stat().st_size % BLOCK)
        if self.shard:
            yield bytes(2 * BLOCK)  # tar's end


def assign_shards(files: Mapping[str, FileEntry]) -> dict[str, FileEntry]:
    """Return `files` with their places: small ones in shards of up to `SHARD` bytes, in the order of their names."""
    small = [path for path, entry in sorted(files.items()) if entry.size < SMALL]
    if len(small) < FEW:
        return {
            path: entry.model_copy(update={"shard": None, "offset": None}) for path, entry in files.items()
        }
    layout = dict(files)
    number, end = 0, 0
    for path in small:
        entry = files[path]
        start = end + len(_header(path, entry.size))
        if end and start + entry.size > SHARD:
            number, start = number + 1, len(_header(path, entry.size))
        end = start + entry.size + -entry.size % BLOCK
        layout[path] = entry.model_copy(update={"shard": f"shards/{number:05}.tar", "offset": start})
    return layout


def objects_to_upload(folder: Path, layout: Mapping[str, FileEntry]) -> list[UploadObject]:
    """Return the objects that hold the files of `folder`, largest first, so that the last to end is small."""
    shards: dict[str, list[str]] = {}
    objects = []
    for path, entry in layout.items():
        if entry.shard is None:
            objects.append(UploadObject(path, entry.size, ((path, folder / path),), shard=False))
        else:
            shards.setdefault(entry.shard, []).append(path)
    for name, paths in shards.items():
        paths.sort(key=lambda path: layout[path].offset or 0)
        last = layout[paths[-1]]
        size = (last.offset or 0) + last.size + -last.size % BLOCK + 2 * BLOCK
        objects.append(UploadObject(name, size, tuple((path, folder / path) for path in paths), shard=True))
    return sorted(objects, key=lambda item: (-item.size, item.name))


def _header(name: str, size: int) -> bytes:
    """Return a tar header without times, owners and modes, so that equal files make equal shards."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)
