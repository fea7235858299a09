"""A cache of decoded clips on disk, by content, for every process of this machine.

An epoch, a group of answers, a hint round, a later stage and a restarted stage do not decode again.

    <root>/<2 hex>/<key>.safetensors     key: SHA-256 of the clip's BLAKE3 and of how it is decoded

An entry is what the decoder returns, frames as bytes and samples of the sound, which takes a hundred milliseconds. The
features of a student are made from it in ten (`runtime.media.features`) and would be four times as many bytes. So students,
formats, stages and runs share entries, and processes that decode need neither torch nor transformers.

An entry is written to a temporary file and renamed, and has the BLAKE3 of its arrays, which is compared at every read: a
truncated or changed entry is logged, removed and made again. All entries together take at most `C2F_FEATURES_GB` gigabytes
(50, or an eighth of the disk if that is less). Entries are evicted at random: training reads all clips in turn, so the
least recently used is the next that is needed.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import time
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from c2f_spec.errors import UsageError
from c2f_spec.store.cache import SPARE_BYTES, machine_cache
from c2f_spec.store.machine import locked
from runtime.console import log_line
from runtime.media import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from c2f_spec.spec.sections import Media
    from c2f_spec.store.protocol import ObjectStore

Arrays = dict[str, "NDArray[np.generic]"]

LIBRARIES = ("av", "decord", "librosa", "numpy")
"""Libraries that decode."""
DEFAULT_GB = 50.0
SWEEP = 0.05
"""Share of the limit that a process writes between two measurements of the cache, and that an eviction frees."""
ABANDONED_SECONDS = 3600.0
"""Seconds after which an unfinished file counts as abandoned."""


def open_cache(store: ObjectStore) -> DecodedCache:
    """Return the cache beside a store that is a folder, else the one in this machine's cache folder."""
    root = Path(store.local("features") or machine_cache().root / "features")
    return DecodedCache(root, cache_limit(root))


def cache_limit(root: Path) -> int:
    """Return the limit in bytes. Raises `UsageError` if `C2F_FEATURES_GB` is not a number."""
    setting = os.environ.get("C2F_FEATURES_GB", "")
    try:
        limit = int(float(setting or DEFAULT_GB) * 1e9)
    except ValueError as error:
        raise UsageError(
            f"invalid C2F_FEATURES_GB: `{setting}`", hint="set a number of gigabytes, 0 for no cache"
        ) from error
    root.mkdir(parents=True, exist_ok=True)
    return limit if setting else min(limit, shutil.disk_usage(root).total // 8)


def cache_key(clip_blake3: str, how: str) -> str:
    return sha256(f"{clip_blake3} {how}".encode()).hexdigest()


def decoding_digest(media: Media) -> str:
    """Return the digest of all that a decoded clip depends on besides its bytes: settings, libraries, and code."""
    settings = {
        "media": media.model_dump(mode="json", exclude={"audio"}),  # it changes the prompt alone
        "libraries": {name: version(name) for name in LIBRARIES},
        "code": sha256(Path(decode.__file__).read_bytes()).hexdigest(),
    }
    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


@dataclass
class DecodedCache:
    """A cache below `root`. It can be pickled, to be sent to the processes that prefetch."""

    root: Path
    max_bytes: int
    _written: int | None = field(default=None, repr=False)
    """Bytes that this process wrote since it last measured the cache; `None` before the first time."""
    _full: bool = field(default=False, repr=False)

    def path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.safetensors"

    def get(self, key: str) -> Arrays | None:
        """Return the entry, or `None` if there is none or it is damaged."""
        path = self.path(key)
        try:
            with safe_open(path, "np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
                whole = (file.metadata() or {}).get("blake3") == _digest(arrays)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError):
            whole = False
        if whole:
            return arrays
        log_line(f"the decoded clip {path} is damaged; it is removed and decoded again")
        path.unlink(missing_ok=True)
        return None

    def put(self, key: str, arrays: Arrays) -> None:
        """Write an entry. If the disk is full or read-only, log that once and write no more."""
        size = sum(array.nbytes for array in arrays.values())
        if self._full or size > self.max_bytes:
            return
        path = self.path(key)
        part = path.with_name(f"{uuid.uuid4().hex}.part")
        try:
            self._make_room(size)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(arrays, part, {"blake3": _digest(arrays)})
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise
            log_line(f"decoded clips are not cached any more: {self.root}: {error.strerror}")
            self._full = True

    def _make_room(self, size: int) -> None:
        """Measure the cache once in a while, and then evict enough until the next time."""
        slack = int(self.max_bytes * SWEEP)
        if self._written is not None and self._written + size <= slack:
            self._written += size
            return
        self._written = size
        with locked(self.root / "lock"):
            self._evict(self.max_bytes - max(slack, size))

    def _evict(self, most: int) -> None:
        """Remove random entries until at most `most` bytes are left and the disk has `SPARE` bytes free."""
        entries = list(self._entries())
        random.Random(len(entries)).shuffle(entries)  # noqa: S311  no secret
        total = sum(size for _, size in entries)
        short = SPARE_BYTES - shutil.disk_usage(self.root).free
        while entries and (total > most or short > 0):
            path, size = entries.pop()
            path.unlink(missing_ok=True)
            total, short = total - size, short - size

    def _entries(self) -> Iterator[tuple[Path, int]]:
        """Yield path and size of entries and of abandoned files; not of files that are being written."""
        for folder in self.root.iterdir():
            for path in folder.iterdir() if folder.is_dir() else ():
                try:
                    status = path.stat()
                except FileNotFoundError:  # renamed or removed meanwhile
                    continue
                if path.suffix != ".part" or time.time() - status.st_mtime > ABANDONED_SECONDS:
                    yield path, status.st_size


def _digest(arrays: Arrays) -> str:
    """Return the digest of names, types, shapes and values."""
    hashed = blake3()
    for name, array in sorted(arrays.items()):
        hashed.update(f"{name} {array.dtype} {array.shape}\n".encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()
