"""Decoded clips, kept on disk by content, for every process of this machine: an epoch, a group of answers, a hint round, a
later stage and a restarted one do not decode again.

    <root>/<2 hex>/<key>.safetensors     key: SHA-256 of the clip's BLAKE3 and of how it is decoded

What is kept is what the decoder gives, frames as bytes and samples of the sound, which costs a hundred milliseconds; what a
student's towers take is made of it in ten (`runtime.media.features`) and would be four times as many bytes. So students,
formats, stages and runs share it, and who decodes needs neither torch nor transformers.

An entry is written beside its place and renamed, carries the BLAKE3 of its arrays, and is compared with it whenever it is
read: one that is torn or was changed is told, removed and made anew. All entries together have at most `C2F_FEATURES_GB`
gigabytes (50, or an eighth of the disk if that is less). What goes to make room is drawn by lot: training reads all clips
in turn, and then the least recently used is what is needed next.
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

from c2f_spec.errors import WrongUsage
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
"""That decode."""
DEFAULT_GB = 50.0
SWEEP = 0.05
"""Share of the room that a process writes between two looks at how much there is, and that a look makes free."""
ABANDONED_SECONDS = 3600.0
"""Seconds after which a file that is being written is not being written any more."""


def open_cache(store: ObjectStore) -> DecodedCache:
    """Beside a store that is a folder, else in this machine's cache."""
    root = Path(store.local("features") or machine_cache().root / "features")
    return DecodedCache(root, cache_limit(root))


def cache_limit(root: Path) -> int:
    """Raises `WrongUsage` for a `C2F_FEATURES_GB` that is no number."""
    given = os.environ.get("C2F_FEATURES_GB", "")
    try:
        limit = int(float(given or DEFAULT_GB) * 1e9)
    except ValueError as error:
        raise WrongUsage(f"C2F_FEATURES_GB is `{given}`", hint="a number of gigabytes, 0 for none") from error
    root.mkdir(parents=True, exist_ok=True)
    return limit if given else min(limit, shutil.disk_usage(root).total // 8)


def cache_key(clip_blake3: str, how: str) -> str:
    return sha256(f"{clip_blake3} {how}".encode()).hexdigest()


def decoding_digest(media: Media) -> str:
    """Digest of all that a decoded clip depends on besides its bytes: settings, libraries, and code."""
    settings = {
        "media": media.model_dump(mode="json", exclude={"audio"}),  # the prompt's business
        "libraries": {name: version(name) for name in LIBRARIES},
        "code": sha256(Path(decode.__file__).read_bytes()).hexdigest(),
    }
    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


@dataclass
class DecodedCache:
    """Picklable, as it goes to the processes that decode ahead of need."""

    root: Path
    max_bytes: int
    """Bytes."""
    _written: int | None = field(default=None, repr=False)
    """By this process since it last looked how much there is; `None` before the first look."""
    _full: bool = field(default=False, repr=False)

    def path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.safetensors"

    def get(self, key: str) -> Arrays | None:
        """The entry, or `None` if there is none that is whole."""
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
        log_line(f"the decoded clip {path} is damaged; it is removed and made again")
        path.unlink(missing_ok=True)
        return None

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep what was made. A disk that is full is told once, and costs time and nothing else."""
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
            log_line(f"decoded clips are not kept from here on: {self.root}: {error.strerror}")
            self._full = True

    def _make_room(self, size: int) -> None:
        """Look how much there is once in a while, and then make room until the next look."""
        slack = int(self.max_bytes * SWEEP)
        if self._written is not None and self._written + size <= slack:
            self._written += size
            return
        self._written = size
        with locked(self.root / "lock"):
            self._evict(self.max_bytes - max(slack, size))

    def _evict(self, most: int) -> None:
        """Remove entries drawn by lot until at most `most` bytes are left and the disk has some to spare."""
        entries = list(self._entries())
        random.Random(len(entries)).shuffle(entries)  # noqa: S311  no secret
        total = sum(size for _, size in entries)
        short = SPARE_BYTES - shutil.disk_usage(self.root).free
        while entries and (total > most or short > 0):
            path, size = entries.pop()
            path.unlink(missing_ok=True)
            total, short = total - size, short - size

    def _entries(self) -> Iterator[tuple[Path, int]]:
        """Path and size, also of what a process that was killed left half written; not of what is being written."""
        for folder in self.root.iterdir():
            for path in folder.iterdir() if folder.is_dir() else ():
                try:
                    found = path.stat()
                except FileNotFoundError:  # renamed meanwhile, or removed
                    continue
                if path.suffix != ".part" or time.time() - found.st_mtime > ABANDONED_SECONDS:
                    yield path, found.st_size


def _digest(arrays: Arrays) -> str:
    """Of names, forms and values."""
    hashed = blake3()
    for name, array in sorted(arrays.items()):
        hashed.update(f"{name} {array.dtype} {array.shape}\n".encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()
