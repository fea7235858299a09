"""The store in a folder of this machine.

`create` is a hard link to a file that was written and flushed under another name: it fails if the name is taken, and
no reader sees a part of it, which opening with `O_EXCL` and writing would not give.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from c2f_spec.errors import Damaged, Unreachable
from c2f_spec.store.digest import digest_file, digest_folder
from c2f_spec.store.machine import locked
from c2f_spec.store.protocol import ObjectInfo, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from c2f_spec.spec.handoff import FileEntry


class FolderStore:
    """`c2f_spec.store.protocol.ObjectStore` over a folder."""

    def __init__(self, path: str) -> None:
        self.url = path
        self.root = Path(path).absolute()

    def read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed("read", name, error) from error

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        found = ((name, self.read(name)) for name in names)
        return {name: data for name, data in found if data is not None}

    def read_range(self, name: str, start: int, length: int) -> bytes:
        with self._path(name).open("rb") as file:
            file.seek(start)
            data = file.read(length)
        if len(data) != length:
            raise Damaged(f"{self._path(name)} is shorter than recorded")
        return data

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def size(self, name: str) -> int | None:
        path = self._path(name)
        return path.stat().st_size if path.is_file() else None

    def create(self, name: str, data: bytes) -> bool:
        path = self._path(name)
        try:
            part = self._write_part(path, data)
            try:
                os.link(part, path)
            except FileExistsError:
                return path.read_bytes() == data
            finally:
                part.unlink()
            _flush_folder(path.parent)
        except OSError as error:
            raise self._failed("write", name, error) from error
        return True

    def create_many(self, objects: Mapping[str, bytes]) -> None:
        for name, data in objects.items():
            self.create(name, data)

    def replace(self, name: str, data: bytes) -> None:
        path = self._path(name)
        try:
            self._write_part(path, data).replace(path)
        except OSError as error:
            raise self._failed("write", name, error) from error

    def read_version(self, name: str) -> tuple[bytes, str] | None:
        data = self.read(name)
        return None if data is None else (data, blake3(data).hexdigest())

    def swap(self, name: str, data: bytes, version: str | None) -> bool:
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(_lock_of(path)):
                before = self.read_version(name)
                if (before and before[1]) != version:
                    return False
                self.replace(name, data)
        except OSError as error:
            raise self._failed("write", name, error) from error
        return True

    def names(self, prefix: str) -> Iterator[str]:
        return (item.name for item in self.listing(prefix))

    def listing(self, prefix: str) -> Iterator[ObjectInfo]:
        base = self._path(prefix) if prefix else self.root
        found = []
        for folder, _, files in os.walk(base):
            for file in files:
                if not file.endswith(".part"):
                    path = os.path.join(folder, file)  # noqa: PTH118  a `Path` an entry costs more than the rest
                    found.append((os.path.relpath(path, self.root).replace(os.sep, "/"), path))
        for name, path in sorted(found):
            try:
                facts = os.stat(path)  # noqa: PTH116
            except FileNotFoundError:
                continue  # removed since
            yield ObjectInfo(name, facts.st_size, facts.st_mtime)

    def put_file(self, path: Path, name: str) -> None:
        """Overwrite what a killed copy left of the same file; a copy that fails leaves nothing."""
        target = self._path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _exclusive_part(target) as part:
                try:
                    shutil.copyfile(path, part)
                    _flush_folder(part)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
            _flush_folder(target.parent)
        except OSError as error:
            raise self._failed("write", name, error) from error

    def get_file(self, name: str, path: Path, entry: FileEntry) -> None:
        source = self._path(name)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            if not source.is_file():
                raise Damaged(f"{source} is missing", hint="it existed when it was recorded")
            shutil.copyfile(source, part)
            if not digest_file(part).same_content(entry):
                raise Damaged(f"{source} was changed since it was recorded")
            part.replace(path)
        except OSError as error:
            raise self._failed("read", name, error) from error
        finally:
            part.unlink(missing_ok=True)

    def put_folder(
        self, folder: Path, name: str, files: Mapping[str, FileEntry] | None = None
    ) -> dict[str, FileEntry]:
        """Move the folder, which costs nothing where both are on one file system."""
        path = self._path(name)
        layout = dict(files) if files is not None else digest_folder(folder)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _flush_tree(folder)
            try:
                folder.rename(path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                with _exclusive_part(path) as part:
                    shutil.rmtree(part, ignore_errors=True)
                    try:
                        shutil.copytree(folder, part)
                        _flush_tree(part)
                        part.rename(path)
                    finally:
                        shutil.rmtree(part, ignore_errors=True)
                shutil.rmtree(folder)
            _flush_folder(path.parent)
        except OSError as error:
            raise self._failed("write", name, error) from error
        return layout

    def delete(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed("remove", name, error) from error

    def local(self, name: str) -> Path | None:
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self.root / check_name(name)

    def _write_part(self, path: Path, data: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return part

    def _failed(self, verb: str, name: str, error: OSError) -> Unreachable:
        reason = error.strerror or type(error).__name__
        if isinstance(error, shutil.Error):  # of a tree: source, target and reason of each file
            reason = str(error.args[0][0][2])
        return Unreachable(
            f"cannot {verb} `{name}` in the store {self.url}: {reason}",
            hint=f"check that {self.root} is a folder that you may write to, with space left",
        )


@contextmanager
def _exclusive_part(path: Path) -> Iterator[Path]:
    """Yield the name under which a copy of `path` is put together, by one process at a time."""
    lock = _lock_of(path)
    with locked(lock):
        try:
            yield path.with_name(f"{path.name}.part")
        finally:
            lock.unlink(missing_ok=True)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock.part")


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_tree(folder: Path) -> None:
    """Flush contents before names: a record must never outlive the files that it names."""
    for path in folder.rglob("*"):
        _flush_folder(path)
    _flush_folder(folder)
