"""What belongs to this machine and not to the store: locks, scratch, the logs of its own children.

A store in a folder has them inside it, so that a repository's `.c2f` is all there is to find or to remove. A store in
a bucket has them below `$C2F_HOME`, else `~/.cache/c2f-spec` (XDG), by the store's address.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from c2f_spec.store.protocol import ObjectStore


MIN_FREE_BYTES = 256 << 20
"""Bytes below which a stage is not begun; what its inputs need is asked when they are known."""


def home() -> Path:
    """The folder of this user on this machine."""
    given = os.environ.get("C2F_HOME")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "c2f-spec"


def work_folder(store: ObjectStore, kind: str, key: str) -> Path:
    """Where the processes of a stage on this machine lock, scratch and log. It need not exist yet."""
    name = f"work/{kind}/{key}"
    return store.local(name) or home() / "stores" / _short(store.url) / name


def make_scratch(path: Path) -> None:
    """An empty folder for work in progress, on a disk that takes some. Raises `Unreachable` before anything is begun."""
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


def _short(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


# Locks on files of this machine: they end with the last process that has the file open, whichever way that ends.


def try_lock(path: Path) -> int | None:
    """An exclusive lock on `path`, as the descriptor that holds it, or `None` if somebody has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
