"""Immutable objects under one root.

An object is created whole or not at all, and never changed; `replace` is for the two advisory files that are not
objects in this sense (progress and lease). No folder's existence means anything.

This version keeps its objects in a folder of this machine. `create` is a hard link to a file that was written and
flushed under another name: it fails if the name is taken, and no reader sees a part of it, which opening with
`O_EXCL` and writing would not give.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Objects:
    """A store's root. Every method raises `Unreachable` with the place when storage refuses."""

    def __init__(self, url: str) -> None:
        import fsspec  # a sixth of a second that `validate` need not pay

        protocol, path = fsspec.core.split_protocol(url)
        if protocol not in (None, "file", "local"):
            raise Unreachable(
                f"the store `{url}` is on `{protocol}`, which this version cannot reach",
                hint="name a folder; object storage comes with the Kubernetes target",
            )
        self.url = url
        self.root = Path(path).absolute()

    def read(self, name: str) -> bytes | None:
        """The object, or `None` if there is none."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed("read", name, error) from error

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()

    def create(self, name: str, data: bytes) -> bool:
        """Whether this call made the object; false if it was there."""
        path = self.root / name
        try:
            part = self._write_part(path, data)
            try:
                os.link(part, path)
            except FileExistsError:
                return False
            finally:
                part.unlink()
            _flush_folder(path.parent)
        except OSError as error:
            raise self._failed("write", name, error) from error
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` in place of whatever was there, whole."""
        path = self.root / name
        try:
            self._write_part(path, data).replace(path)
        except OSError as error:
            raise self._failed("write", name, error) from error

    def put_folder(self, local: Path, name: str) -> None:
        """Move the folder `local` to `name`, which nobody else writes to (it carries an attempt's unique name)."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _flush_tree(local)
            try:
                local.rename(path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                part = path.with_name(f"{path.name}.part")
                shutil.copytree(local, part)
                _flush_tree(part)
                part.rename(path)
                shutil.rmtree(local)
            _flush_folder(path.parent)
        except OSError as error:
            raise self._failed("write", name, error) from error

    def folder(self, name: str) -> Path:
        """Where `name` lies on this machine. Read only."""
        return self.root / name

    def names(self, prefix: str) -> Iterator[str]:
        """Names of the objects below `prefix`, in order."""
        base = self.root / prefix
        for path in sorted(base.rglob("*")) if base.is_dir() else ():
            if path.is_file() and not path.name.endswith(".part"):
                yield path.relative_to(self.root).as_posix()

    def _write_part(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return part

    def _failed(self, verb: str, name: str, error: OSError) -> Unreachable:
        reason = error.strerror or type(error).__name__
        return Unreachable(
            f"cannot {verb} `{name}` in the store {self.url}: {reason}",
            hint=f"check that {self.root} is a folder that you may write to, with space left",
        )


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_tree(folder: Path) -> None:
    """Contents before names: a record must never outlive what it names."""
    for path in folder.rglob("*"):
        _flush_folder(path)
    _flush_folder(folder)
