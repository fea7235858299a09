"""Folders and locks that belong to this machine and not to the store.

A store in a folder has the scratch and locks of its stages inside it, so that a repository's `.c2f` is all there is to
find or to remove. A store in a bucket has them below `$C2F_HOME`, else `~/.cache/c2f-spec` (XDG), by the store's address.

A lock is taken on an open file and ends with the last process that has the file open, whichever way that process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.store.protocol import ObjectStore


MIN_FREE_BYTES = 256 << 20
"""A stage is not begun with less free disk; the room for its inputs is checked when they are known."""


def home() -> Path:
    """Return the folder of this user on this machine."""
    folder = os.environ.get("C2F_HOME")
    if folder:
        return Path(folder).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "c2f-spec"


def work_folder(store: ObjectStore, kind: str, key: str) -> Path:
    """Return the folder with the lock, scratch and launch log of a stage on this machine. It need not exist yet."""
    name = f"work/{kind}/{key}"
    address = hashlib.sha256(store.url.encode()).hexdigest()[:16]
    return store.local(name) or home() / "stores" / address / name


def make_scratch(path: Path) -> None:
    """Create an empty folder for work in progress. Raises `Unreachable` if its disk is full or read only."""
    try:
        path.mkdir(parents=True)
        (path / "probe").write_bytes(bytes(1 << 16))
        (path / "probe").unlink()
        free = shutil.disk_usage(path).free
    except OSError as error:
        raise Unreachable(
            f"cannot write in {path}: {error.strerror}",
            hint="make room there, or name another disk with C2F_HOME",
        ) from error
    if free < MIN_FREE_BYTES:
        raise Unreachable(
            f"{path} has {free >> 20} MB free, and a stage needs at least {MIN_FREE_BYTES >> 20}",
            hint="make room there, or name another disk with C2F_HOME",
        )


def try_lock(path: Path) -> int | None:
    """Return a descriptor with an exclusive lock on `path`, or `None` if another process has it. Close it to unlock."""
    return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_file(path: Path) -> int:
    """Wait for an exclusive lock on `path`; return the descriptor that holds it."""
    while (descriptor := _lock(path, fcntl.LOCK_EX)) is None:
        pass
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` meanwhile. The file may be removed inside."""
    descriptor = lock_file(path)
    try:
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process holds an exclusive lock on `path`."""
    try:
        with path.open("rb") as file:
            # Shared, so that two callers who only check do not see each other as holders.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock(path: Path, operation: int) -> int | None:
    """Return `None` if the lock is taken, or if the file was removed while its lock was waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # users of one cache share its locks
    try:
        fcntl.flock(descriptor, operation)
        if os.path.samestat(path.stat(), os.fstat(descriptor)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
