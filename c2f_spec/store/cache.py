"""What was fetched once stays on this machine: files by their digest, shared by all stages, users of one `$C2F_CACHE`.

    blobs/<3 hex>/<blake3>     read only; its time of change is that of its last use
    views/<id>/…               folders of hard links, one a stage; <id>.lock is held for as long as its process lives
    locks/<3 hex>              whoever fetches a file holds its lock: the others wait for the one download

A view keeps its files even when their blobs are evicted, which happens to the least recently used once the blobs
outgrow `C2F_CACHE_GB` (200, or a quarter of the disk if that is less). A blob is verified each time it is used.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable, WrongUsage
from c2f_spec.store.digest import digest_file
from c2f_spec.store.machine import home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.spec.handoff import FileEntry

MOST_GB = 200.0
SPARE = 256 << 20
"""Bytes of a disk that stay free: a full one breaks more than this."""


class Cache:
    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("blobs", "views", "locks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(root, error) from error
        self._held: list[int] = []

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
    def fetching(self, name: str) -> Iterator[None]:
        """Held by one at a time, in this process or another, for whatever has this `name`."""
        lock = self.root / "locks" / name
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def keep(self, path: Path, entry: FileEntry) -> None:
        """Take a file that was verified, by moving it."""
        target = self.blob(entry)
        target.parent.mkdir(exist_ok=True)
        path.chmod(0o444)
        path.replace(target)

    def view(self) -> Path:
        """An empty folder for links, which stays for as long as this process."""
        path = self.root / "views" / uuid.uuid4().hex
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._held.append(descriptor)  # closed by the end of the process, whichever way it ends
        path.mkdir()
        return path

    def make_room(self, needed: int) -> None:
        """Evict what was not used for longest, so that `needed` more bytes fit. Raises `Unreachable` if they cannot."""
        with self.fetching("evict"):
            self._sweep()
            blobs = sorted((b.stat().st_mtime, b.stat().st_size, b) for b in self.root.glob("blobs/*/*"))
            total, most = sum(size for _, size, _ in blobs), _most(self.root)
            free = shutil.disk_usage(self.root).free
            for _, size, path in blobs:
                if total + needed <= most and free >= needed + SPARE:
                    break
                path.unlink(missing_ok=True)
                total, free = total - size, free + size
            free = shutil.disk_usage(self.root).free
            if free < needed:
                raise Unreachable(
                    f"the inputs need {needed / 1e9:.1f} GB and {self.root} has {max(0, free) / 1e9:.1f} GB free",
                    hint="make room, or name a larger disk with C2F_CACHE",
                )

    def _sweep(self) -> None:
        """Remove the views of processes that ended."""
        for lock in self.root.glob("views/*.lock"):
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)


@cache
def machine_cache() -> Cache:
    """The one of this machine: `$C2F_CACHE`, a volume that stages share, or a folder of this user."""
    given = os.environ.get("C2F_CACHE")
    return Cache(Path(given).absolute() if given else home() / "cache")


def unusable(place: Path, error: OSError) -> Unreachable:
    return Unreachable(
        f"cannot write in {place}: {error.strerror}",
        hint="make room, or name another disk with C2F_CACHE and C2F_HOME",
    )


def _most(root: Path) -> float:
    given = os.environ.get("C2F_CACHE_GB", "")
    try:
        limit = float(given or MOST_GB)
    except ValueError as error:
        raise WrongUsage(f"C2F_CACHE_GB is `{given}`", hint="a number of gigabytes") from error
    return limit * 1e9 if given else min(limit * 1e9, shutil.disk_usage(root).total / 4)
