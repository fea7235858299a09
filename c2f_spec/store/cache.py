"""What was fetched once stays on this machine: files by their digest, shared by all stages, users of one `$C2F_CACHE`.

    blobs/<3 hex>/<blake3>     read only; its time of change is that of its last use
    views/<id>/…               folders of hard links, one a stage; <id>.lock is held for as long as its process lives
    locks/<3 hex>              whoever fetches a file holds its lock: the others wait for the one download

A view keeps its files even when their blobs are evicted, which happens to the least recently used once the blobs
outgrow `C2F_CACHE_GB` (200, or a quarter of the disk if that is less). A blob is verified each time it is used.
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

from c2f_spec.errors import Damaged, Unreachable, WrongUsage
from c2f_spec.store import transfer
from c2f_spec.store.digest import digest_file
from c2f_spec.store.machine import home, lock_file, locked, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.handoff import FileEntry


DEFAULT_GB = 200.0
SPARE_BYTES = 256 << 20
"""Bytes of a disk that stay free: a full one breaks more than this."""


class Cache:
    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("blobs", "views", "locks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(root, error) from error
        self._view_locks: list[int] = []

    def blob(self, entry: FileEntry) -> Path:
        """Where a file is or will be."""
        return self.root / "blobs" / entry.blake3[:3] / entry.blake3

    def has(self, entry: FileEntry) -> bool:
        """Whether it is there and whole; a damaged one is removed. A hit counts as use."""
        path = self.blob(entry)
        if not path.is_file():
            return False
        if not digest_file(path).same(entry):
            path.unlink(missing_ok=True)
            return False
        os.utime(path)
        return True

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Held by one at a time, in this process or another, for whatever has this `name`."""
        with locked(self.root / "locks" / name):
            yield

    def add(self, path: Path, entry: FileEntry) -> None:
        """Take a file that was verified, by moving it."""
        target = self.blob(entry)
        target.parent.mkdir(exist_ok=True)
        path.chmod(0o444)
        path.replace(target)

    def view(self) -> Path:
        """An empty folder for links, which stays for as long as this process."""
        path = self.root / "views" / uuid.uuid4().hex
        self._view_locks.append(
            lock_file(path.with_name(f"{path.name}.lock"))
        )  # closed by the end of the process, whichever way it ends
        path.mkdir()
        return path

    def make_room(self, needed: int) -> None:
        """Evict what was not used for longest, so that `needed` more bytes fit. Raises `Unreachable` if they cannot."""
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
                    hint="make room, or name a larger disk with C2F_CACHE",
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
    """The one of this machine: `$C2F_CACHE`, a volume that stages share, or a folder of this user."""
    given = os.environ.get("C2F_CACHE")
    return Cache(Path(given).absolute() if given else home() / "cache")


def unwritable(place: Path, error: OSError) -> Unreachable:
    return Unreachable(
        f"cannot write in {place}: {error.strerror}",
        hint="make room, or name another disk with C2F_CACHE and C2F_HOME",
    )


def _size_limit(root: Path) -> float:
    given = os.environ.get("C2F_CACHE_GB", "")
    try:
        limit = float(given or DEFAULT_GB)
    except ValueError as error:
        raise WrongUsage(f"C2F_CACHE_GB is `{given}`", hint="a number of gigabytes") from error
    return limit * 1e9 if given else min(limit * 1e9, shutil.disk_usage(root).total / 4)


# Stored files → files of this machine, each verified by its own digest before anybody reads it.
#
# What lies in a folder of this machine is read there. What lies in a bucket comes to the machine's cache, whatever is
# missing of it: files by themselves, small ones by the shard they travel in.


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from c2f_spec.spec.handoff import FileEntry
    from c2f_spec.store.protocol import ObjectStore

    Item = tuple[str, FileEntry]
    Files = Mapping[str, FileEntry]
    OnProgress = Callable[[int, int], None]
    """Bytes that are there, of all."""

MAX_GAP = 256 << 10
"""Bytes between two missing files of a shard up to which both come with one request."""


def fetch_verified(
    store: ObjectStore,
    name: str,
    files: Files,
    into: Path | None,
    remedy: str,
    tell: OnProgress | None = None,
) -> Path:
    """A folder with `files` of the stored folder `name`: itself, if it lies here, else one that is read only and stays
    for as long as this process lives. `into` becomes a link to that, for other processes to find it.

    Raises `Damaged` naming the first file that is missing or differs, with `way_out` as the hint; `Unreachable` if the
    store is, or the machine has no room.
    """
    if (folder := store.local(name)) is not None:
        for path, entry in files.items():
            _verify(folder / path, entry, remedy)
        return folder
    cache = machine_cache()
    try:
        _fill(cache, store, name, files, remedy, tell)
        view = cache.view()
        for path, entry in files.items():
            (view / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(cache.blob(entry), view / path)
    except OSError as error:
        if error.errno == errno.ENOENT:  # evicted between the two by somebody short of room
            raise Unreachable(
                f"{cache.root} is too small for what runs here", hint="raise C2F_CACHE_GB"
            ) from error
        raise unwritable(cache.root, error) from error
    if into is None:
        return view
    into.parent.mkdir(parents=True, exist_ok=True)
    into.symlink_to(view)
    return into


def fetch_verified_file(store: ObjectStore, name: str, path: str, entry: FileEntry, remedy: str) -> Path:
    """One file of a stored folder, as `stage` has it."""
    if (folder := store.local(name)) is not None:
        _verify(folder / path, entry, remedy)
        return folder / path
    return fetch_verified(store, name, {path: entry}, None, remedy) / path


def verify_stored(store: ObjectStore, name: str, files: Files, remedy: str) -> None:
    """Read every byte of `files` as the store has it, past any cache. Raises as `stage`."""
    folder = store.local(name)

    def look(item: Item) -> None:
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

    transfer.map_parallel(look, list(files.items()), at_once=transfer.PARTS_AT_ONCE)


def _fill(
    cache: Cache, store: ObjectStore, name: str, files: Files, remedy: str, tell: OnProgress | None
) -> None:
    """Bring what the cache lacks of `files`."""
    lacking = {path: entry for path, entry in files.items() if not cache.has(entry)}
    total = sum(entry.size for entry in files.values())
    there = total - sum(entry.size for entry in lacking.values())
    if lacking:
        cache.make_room(sum(entry.size for entry in lacking.values()))
    shards: dict[str, list[Item]] = {}
    alone: list[Item] = []
    for path, entry in lacking.items():
        if entry.shard is None:
            alone.append((path, entry))
        else:
            shards.setdefault(entry.shard, []).append((path, entry))
    large = [item for item in alone if item[1].size > transfer.PART]
    small = [item for item in alone if item[1].size <= transfer.PART]

    def one(item: Item) -> int:
        _bring(cache, store, f"{name}/{item[0]}", item[1], remedy)
        return item[1].size

    def told(size: int) -> None:
        nonlocal there
        there += size
        if tell is not None:
            tell(there, total)

    told(0)
    for shard, items in shards.items():
        _bring_shard(cache, store, f"{name}/{shard}", items, remedy)
        told(sum(entry.size for _, entry in items))
    for item in large:
        told(one(item))
    told(sum(transfer.map_parallel(one, small)))


def _bring(cache: Cache, store: ObjectStore, name: str, entry: FileEntry, remedy: str) -> None:
    with cache.lock(entry.blake3[:3]):
        if cache.has(entry):
            return  # another stage was faster
        path = cache.blob(entry).with_suffix(".new")
        path.parent.mkdir(exist_ok=True)
        try:
            store.get_file(name, path, entry)
        except Damaged as error:
            raise Damaged(error.message, hint=remedy) from error
        cache.add(path, entry)


def _bring_shard(cache: Cache, store: ObjectStore, name: str, items: list[Item], remedy: str) -> None:
    """What is missing of a shard's files."""
    with cache.lock(hashlib.sha256(name.encode()).hexdigest()[:3] + "-shard"):
        lacking = sorted((i for i in items if not cache.has(i[1])), key=lambda item: item[1].offset or 0)
        transfer.map_parallel(
            lambda run: _bring_run(cache, store, name, run, remedy),
            _runs(lacking),
            at_once=transfer.PARTS_AT_ONCE,
        )


def _runs(items: list[Item]) -> list[list[Item]]:
    """Neighbours in a shard, in runs of one request each; a short gap is cheaper read than asked around."""
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


def _bring_run(cache: Cache, store: ObjectStore, name: str, run: list[Item], remedy: str) -> None:
    """Neighbouring files of a shard, by one request."""
    start, length = run[0][1].offset or 0, _end(run[-1][1]) - (run[0][1].offset or 0)
    wrong = ""
    for _ in range(transfer.TRIES):
        try:
            data = memoryview(store.read_range(name, start, length))
        except FileNotFoundError:
            raise Unreachable(f"{store.url}/{name} is missing since it was committed", hint=remedy) from None
        wrong = ""
        for path, entry in run:
            begin = (entry.offset or 0) - start
            content = data[begin : begin + entry.size]
            if blake3(content).hexdigest() == entry.blake3:
                _keep(cache, content, entry)
            else:
                wrong = path
        if not wrong:
            return
    raise Damaged(f"{wrong} in {store.url}/{name} was changed since it was committed", hint=remedy)


def _keep(cache: Cache, content: memoryview, entry: FileEntry) -> None:
    path = cache.root / f"{uuid.uuid4().hex}.new"
    path.write_bytes(content)
    cache.add(path, entry)


def _verify(file: Path, entry: FileEntry, remedy: str) -> None:
    problem = "is missing" if not file.is_file() else "" if digest_file(file).same(entry) else "was changed"
    if problem:
        raise Damaged(f"{file} {problem} since it was committed", hint=remedy)
