"""Read files from this machine's disk or from a revision of a repository (`diff/git.py`).

Specs, locks, environments and code are read through the protocol `Files`, so that a pull request can be compiled from
the blobs of git, without a checkout.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


def enclosing_repository(path: Path) -> Path | None:
    """Return the nearest folder above `path` with a `.git`."""
    return next((f for f in path.resolve().parents if (f / ".git").exists()), None)


class Files(Protocol):
    """Read-only access to files by absolute or relative paths, as on this machine."""

    def read(self, path: Path, most: int) -> bytes:
        """Return at most `most` bytes of a file. Raises `OSError` as `open` does."""

    def is_file(self, path: Path) -> bool: ...

    def size(self, path: Path) -> int:
        """Return the size of a file in bytes. Raises `OSError`."""

    def names(self, folder: Path) -> list[str]:
        """Return the sorted names of the YAML files in a folder; none if it is no folder."""

    def real(self, path: Path) -> Path:
        """Return the absolute path without `..` and links."""


class Disk:
    """The files of this machine."""

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
