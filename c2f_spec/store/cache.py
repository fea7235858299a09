"""Fetch stored files to this machine and verify each by its digest; keep them in a cache that all stages share.

Files of a store in a folder of this machine are read in place. Files of a bucket come to the cache, only those that it
does not have: large ones by themselves, small ones by ranges of the shard that they are packed in.

    blobs/<3 hex>/<blake3>     read only; its modification time is that of its last use
    views/<id>/…               folders of hard links, one a stage; <id>.lock is locked for as long as its process lives
    locks/<3 hex>              locked while a file is fetched: other processes wait for the one download

A view keeps its files even when their blobs are evicted, the least recently used first, once the blobs outgrow
`C2F_CACHE_GB` (200, or a quarter of the disk if that is less). A blob is verified each time it is used. `$C2F_CACHE` names
the folder.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from c2f_spec.errors import Damaged, Unreachable, UsageError
from c2f_spec.store import transfer
from c2f_spec.store.digest import digest_file
from c2f_spec.store.machine import home, lock_file, locked, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from c2f_spec.spec.handoff import FileEntry
    from c2f_spec.store.protocol import ObjectStore

    Item = tuple[str, FileEntry]
    Files = Mapping[str, FileEntry]
    OnProgress = Callable[[int, int], None]
    """Called with the bytes that are present, and with all."""


DEFAULT_GB = 200.0
SPARE_BYTES = 256 << 20
"""Bytes of a disk that stay free: a full disk breaks more than this."""


class Cache:
    """Blobs and views below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("blobs", "views", "locks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(root, error) from error
        self._view_locks: list[int] = []

    def blob(self, entry: FileEntry) -> Path:
        """Return the path of the blob of a file, which need not exist."""
        return self.root / "blobs" / entry.blake3[:3] / entry.blake3

    def has(self, entry: FileEntry) -> bool:
        """Return whether the blob exists and is valid; a damaged one is removed. A hit counts as use."""
        path = self.blob(entry)
        if not path.is_file():
            return False
        if not digest_file(path).same_content(entry):
            path.unlink(missing_ok=True)
            return False
        os.utime(path)
        return True

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name`, which one thread of all processes holds at a time."""
        with locked(self.root / "locks" / name):
            yield

    def add(self, path: Path, entry: FileEntry) -> None:
        """Move a verified file into the cache."""
        target = self.blob(entry)
        target.parent.mkdir(exist_ok=True)
        path.chmod(0o444)
        path.replace(target)

    def view(self) -> Path:
        """Return an empty folder for links, which lasts as long as this process."""
        path = self.root / "views" / uuid.uuid4().hex
        self._view_locks.append(
            lock_file(path.with_name(f"{path.name}.lock"))
        )  # released by the end of the process
        path.mkdir()
        return path

    def make_room(self, needed: int) -> None:
        """Evict the least recently used blobs until `needed` more bytes fit. Raises `Unreachable` if they cannot."""
        with self.lock("evict"):
            self._remove_dead_views()
            blobs = sorted((b.stat().st_mtime, b.stat().st_size, b) for b in self.root.glob("blobs/*/*"))
            total, most = sum(size for _, size, _ in blobs), _size_limit(self.root)
            free = shutil.disk_usage(self.root).free
            for _, size, path in blobs:
                if total + needed <= most and free >= needed + SPARE_BYTES:
                    break
                path.unlink(missing_ok=True)
                total, free = total - size, free + size
            free = shutil.disk_usage(self.root).free
            if free < needed:
                raise Unreachable(
                    f"the inputs need {needed / 1e9:.1f} GB and {self.root} has {max(0, free) / 1e9:.1f} GB free",
                    hint="make room, or set C2F_CACHE to a larger disk",
                )

    def _remove_dead_views(self) -> None:
        """Remove the views of processes that ended."""
        for lock in self.root.glob("views/*.lock"):
            descriptor = try_lock(lock)
            if descriptor is not None:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
                os.close(descriptor)


@cache
def machine_cache() -> Cache:
    """Return the cache of this machine: `$C2F_CACHE`, a volume that stages share, or a folder of this user."""
    folder = os.environ.get("C2F_CACHE")
    return Cache(Path(folder).absolute() if folder else home() / "cache")


def unwritable(place: Path, error: OSError) -> Unreachable:
    """Return the error of a cache on a disk that is full or read only."""
    return Unreachable(
        f"cannot write in {place}: {error.strerror}",
        hint="make room, or set C2F_CACHE and C2F_HOME to another disk",
    )


def _size_limit(root: Path) -> float:
    text = os.environ.get("C2F_CACHE_GB", "")
    try:
        limit = float(text or DEFAULT_GB)
    except ValueError as error:
        raise UsageError(
            f"C2F_CACHE_GB is `{text}`, which is not a number", hint="set it to a number of gigabytes"
        ) from error
    return limit * 1e9 if text else min(limit * 1e9, shutil.disk_usage(root).total / 4)


MAX_GAP = 256 << 10
"""Bytes between two missing files of a shard up to which one request brings both."""


def fetch_verified(
    store: ObjectStore,
    name: str,
    files: Files,
    into: Path | None,
    remedy: str,
    on_progress: OnProgress | None = None,
) -> Path:
    """Return a folder with the verified `files` of the stored folder `name`, read only.

    It is the stored folder itself, if that is on this machine, else a view that lasts as long as this process. `into`
    becomes a link to the view, for other processes. Raises `Damaged` naming the first file that is missing or differs,
    with `remedy` as the hint; `Unreachable` if the store does not answer, or the disk is full.
    """
    if (folder := store.local(name)) is not None:
        for path, entry in files.items():
            _verify(folder / path, entry, remedy)
        return folder
    cache = machine_cache()
    try:
        _fill(cache, store, name, files, remedy, on_progress)
        view = cache.view()
        for path, entry in files.items():
            (view / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(cache.blob(entry), view / path)
    except OSError as error:
        if error.errno == errno.ENOENT:  # evicted since it was fetched, by another process that needed room
            raise Unreachable(
                f"{cache.root} is too small for the stages that run on this machine",
                hint="raise C2F_CACHE_GB",
            ) from error
        raise unwritable(cache.root, error) from error
    if into is None:
        return view
    into.parent.mkdir(parents=True, exist_ok=True)
    into.symlink_to(view)
    return into


def fetch_verified_file(store: ObjectStore, name: str, path: str, entry: FileEntry, remedy: str) -> Path:
    """Return the path of one verified file of a stored folder. Raises as `fetch_verified`."""
    if (folder := store.local(name)) is not None:
        _verify(folder / path, entry, remedy)
        return folder / path
    return fetch_verified(store, name, {path: entry}, None, remedy) / path


def verify_stored(store: ObjectStore, name: str, files: Files, remedy: str) -> None:
    """Read every byte of `files` in the store, past any cache. Raises as `fetch_verified`."""
    folder = store.local(name)

    def verify(item: Item) -> None:
        path, entry = item
        if folder is not None:
            _verify(folder / path, entry, remedy)
            return
        hasher, start = blake3(), entry.offset or 0
        try:
            for at in range(start, start + entry.size, transfer.PART):
                length = min(transfer.PART, start + entry.size - at)
                hasher.update(store.read_range(f"{name}/{entry.shard or path}", at, length))
        except FileNotFoundError:
            raise Damaged(
                f"{store.url}/{name}/{path} is missing since it was committed", hint=remedy
            ) from None
        if hasher.hexdigest() != entry.blake3:
            raise Damaged(f"{store.url}/{name}/{path} was changed since it was committed", hint=remedy)

    transfer.map_parallel(verify, list(files.items()), at_once=transfer.PARTS_AT_ONCE)


def _fill(
    cache: Cache, store: ObjectStore, name: str, files: Files, remedy: str, on_progress: OnProgress | None
) -> None:
    """Fetch those of `files` that the cache does not have."""
    missing = {path: entry for path, entry in files.items() if not cache.has(entry)}
    total = sum(entry.size for entry in files.values())
    present = total - sum(entry.size for entry in missing.values())
    if missing:
        cache.make_room(sum(entry.size for entry in missing.values()))
    shards: dict[str, list[Item]] = {}
    alone: list[Item] = []
    for path, entry in missing.items():
        if entry.shard is None:
            alone.append((path, entry))
        else:
            shards.setdefault(entry.shard, []).append((path, entry))
    large = [item for item in alone if item[1].size > transfer.PART]
    small = [item for item in alone if item[1].size <= transfer.PART]

    def fetch(item: Item) -> int:
        _fetch_blob(cache, store, f"{name}/{item[0]}", item[1], remedy)
        return item[1].size

    def report(size: int) -> None:
        nonlocal present
        present += size
        if on_progress is not None:
            on_progress(present, total)

    report(0)
    for shard, items in shards.items():
        _fetch_from_shard(cache, store, f"{name}/{shard}", items, remedy)
        report(sum(entry.size for _, entry in items))
    for item in large:
        report(fetch(item))
    report(sum(transfer.map_parallel(fetch, small)))


def _fetch_blob(cache: Cache, store: ObjectStore, name: str, entry: FileEntry, remedy: str) -> None:
    with cache.lock(entry.blake3[:3]):
        if cache.has(entry):
            return  # another stage has fetched it meanwhile
        path = cache.blob(entry).with_suffix(".new")
        path.parent.mkdir(exist_ok=True)
        try:
            store.get_file(name, path, entry)
        except Damaged as error:
            raise Damaged(error.message, hint=remedy) from error
        cache.add(path, entry)


def _fetch_from_shard(cache: Cache, store: ObjectStore, name: str, items: list[Item], remedy: str) -> None:
    """Fetch those of `items`, files of one shard, that the cache does not have."""
    with cache.lock(hashlib.sha256(name.encode()).hexdigest()[:3] + "-shard"):
        missing = sorted((i for i in items if not cache.has(i[1])), key=lambda item: item[1].offset or 0)
        transfer.map_parallel(
            lambda run: _fetch_range(cache, store, name, run, remedy),
            _runs(missing),
            at_once=transfer.PARTS_AT_ONCE,
        )


def _runs(items: list[Item]) -> list[list[Item]]:
    """Group neighbours in a shard into runs of one request each; a short gap is cheaper read than skipped."""
    runs: list[list[Item]] = []
    for item in items:
        start = item[1].offset or 0
        near = bool(runs) and start - _end(runs[-1][-1][1]) < MAX_GAP
        if near and _end(item[1]) - (runs[-1][0][1].offset or 0) <= transfer.PART:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _end(entry: FileEntry) -> int:
    return (entry.offset or 0) + entry.size


def _fetch_range(cache: Cache, store: ObjectStore, name: str, run: list[Item], remedy: str) -> None:
    """Fetch neighbouring files of a shard by one request; again, up to `transfer.TRIES` times, if a digest is wrong."""
    start, length = run[0][1].offset or 0, _end(run[-1][1]) - (run[0][1].offset or 0)
    damaged = ""
    for _ in range(transfer.TRIES):
        try:
            data = memoryview(store.read_range(name, start, length))
        except FileNotFoundError:
            raise Unreachable(f"{store.url}/{name} is missing since it was committed", hint=remedy) from None
        damaged = ""
        for path, entry in run:
            begin = (entry.offset or 0) - start
            content = data[begin : begin + entry.size]
            if blake3(content).hexdigest() == entry.blake3:
                _add_bytes(cache, content, entry)
            else:
                damaged = path
        if not damaged:
            return
    raise Damaged(f"{damaged} in {store.url}/{name} was changed since it was committed", hint=remedy)


def _add_bytes(cache: Cache, content: memoryview, entry: FileEntry) -> None:
    path = cache.root / f"{uuid.uuid4().hex}.new"
    path.write_bytes(content)
    cache.add(path, entry)


def _verify(file: Path, entry: FileEntry, remedy: str) -> None:
    problem = (
        "is missing" if not file.is_file() else "" if digest_file(file).same_content(entry) else "was changed"
    )
    if problem:
        raise Damaged(f"{file} {problem} since it was committed", hint=remedy)
