"""Read a revision of a repository as files, through two git processes and without a checkout."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from c2f_spec.errors import UsageError

ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
"""Nothing is written, asked or fetched on the way."""
FILE_MODES = ("100644", "100755")
"""Links and submodules are nothing that a spec may be read from."""


class Blob(NamedTuple):
    """A file of a revision."""

    oid: str
    size: int


class Repository:
    """The object database of the repository at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._reader: subprocess.Popen[bytes] | None = None
        self._blobs: dict[str, bytes] = {}

    def revision(self, name: str) -> Revision:
        """Return a revision by name. Raises `UsageError` if there is no such commit, or no repository."""
        commit = self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()
        entries = {}
        for line in self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0"):
            if not line:
                continue
            facts, path = line.split(b"\t", 1)
            mode, _, oid, size = facts.decode().split()
            if mode in FILE_MODES:
                entries[os.fsdecode(path)] = Blob(oid, int(size))
        return Revision(self, name, commit, entries)

    def heads(self) -> list[str]:
        """Return the commits of all branches, here and at remotes, each once; none without a repository."""
        try:
            found = self._git("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/remotes")
        except UsageError:
            return []
        return list(dict.fromkeys(found.decode().split()))

    def knows(self, commit: str) -> bool:
        """Return whether the object database has a commit of this full name."""
        try:
            self._git("cat-file", "-e", f"{commit}^{{commit}}")
        except UsageError:
            return False
        return True

    def merge_base(self, a: str, b: str) -> str:
        """Return the common ancestor. Raises `UsageError` if there is none."""
        for name in (a, b):
            self._git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        return self._git("merge-base", a, b).decode().strip()

    def blob(self, oid: str) -> bytes:
        """Return the content of a file. One process serves all."""
        if oid not in self._blobs:
            if self._reader is None:
                self._reader = self._start("cat-file", "--batch")
            assert self._reader.stdin is not None
            assert self._reader.stdout is not None
            self._reader.stdin.write(f"{oid}\n".encode())
            self._reader.stdin.flush()
            head = self._reader.stdout.readline().split()
            if len(head) != 3:
                raise UsageError(
                    f"git has no object {oid[:10]} here", hint="fetch the whole history of the revision"
                )
            self._blobs[oid] = self._reader.stdout.read(int(head[2]))
            self._reader.stdout.read(1)
        return self._blobs[oid]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.communicate()
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _git(self, *arguments: str) -> bytes:
        process = self._start(*arguments)
        out, err = process.communicate()
        if process.returncode:
            said = err.decode("utf-8", "replace").strip().removeprefix("fatal: ")
            raise UsageError(
                f"git {arguments[0]}: {said or 'no such revision'}",
                hint="name two revisions as git does, `main..HEAD`",
            )
        return out

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                ["git", "-C", str(self.root), *arguments],  # noqa: S607  the git that its user has
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **ENVIRONMENT},
            )
        except FileNotFoundError:
            raise UsageError(
                "`git` is not installed", hint="revisions are read by it; two files need no git"
            ) from None


@dataclass(frozen=True)
class Revision:
    """`c2f_spec.files.Files` of one commit. Paths are those that its files would have in the repository."""

    repository: Repository
    name: str
    commit: str
    entries: dict[str, Blob] = field(repr=False)

    def read(self, path: Path, most: int) -> bytes:
        blob = self._at(path)
        if blob is None:
            raise FileNotFoundError(f"{path} is not in {self.name}")
        if blob.size > most:
            return bytes(
                most
            )  # more than anyone accepts: its size is refused before its contents are looked at
        return self.repository.blob(blob.oid)

    def is_file(self, path: Path) -> bool:
        return self._at(path) is not None

    def size(self, path: Path) -> int:
        blob = self._at(path)
        if blob is None:
            raise FileNotFoundError(f"{path} is not in {self.name}")
        return blob.size

    def names(self, folder: Path) -> list[str]:
        inside = [Path(p) for p in self.entries if self.repository.root / Path(p).parent == folder]
        return sorted(p.name for p in inside if p.suffix in (".yaml", ".yml"))

    def real(self, path: Path) -> Path:
        return Path(os.path.normpath(self.repository.root / path))

    def _at(self, path: Path) -> Blob | None:
        relative = os.path.relpath(self.real(path), self.repository.root)
        return self.entries.get(Path(relative).as_posix())
