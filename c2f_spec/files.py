"""Where files are read from: this machine's disk, or a revision of a repository (`diff/git.py`).

Whatever reads specs, locks, environments or code reads them through this, so that a pull request can be compiled from
the blobs of git, without a checkout.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


def enclosing_repository(path: Path) -> Path | None:
    """The nearest folder above `path` with a `.git`."""
    return next((f for f in path.resolve().parents if (f / ".git").exists()), None)


class Files(Protocol):
    """Read-only, addressed by absolute or relative paths as on this machine."""

    def read(self, path: Path, most: int) -> bytes:
        """At most `most` bytes. Raises `OSError` as `open` does."""

    def is_file(self, path: Path) -> bool: ...

    def size(self, path: Path) -> int:
        """Bytes of a file. Raises `OSError`."""

    def names(self, folder: Path) -> list[str]:
        """Names of the YAML files in a folder, sorted; none if it is no folder."""

    def real(self, path: Path) -> Path:
        """Absolute, without `..` and links."""


class Disk:
    """What lies on this machine."""

    def read(self, path: Path, most: int) -> bytes:
        with path.open("rb") as file:
            return file.read(most)

    def is_file(self, path: Path) -> bool:
        return path.is_file()

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def names(self, folder: Path) -> list[str]:
        return sorted(p.name for p in folder.glob("*.y*ml"))

    def real(self, path: Path) -> Path:
        return Path(os.path.realpath(path))


DISK = Disk()
