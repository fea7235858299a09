"""Find the code that a stage runs: its files and digests for the stage's key, and the bundle that a pod unpacks.

Imports are read from the syntax tree of each file; nothing is imported. One function resolves them, for keys and for
bundles (DESIGN: "Stages, keys, plan"). A key does not hold all that is imported. It leaves out, on purpose:

- the `__init__` of a family, which names all its members: rewards, filters, data sets, teachers and models enter a key
  only where the spec names them, so that a new one runs nothing again but what uses it;
- `c2f_spec` but its metrics: specs and inputs enter a key by value, and the store moves bytes;
- what keeps a stage alive (`KEEPS_ALIVE`): it may end a stage or let it go on, and tests hold that it changes no bit
  of a result.
"""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import c2f_spec
from c2f_spec.errors import InvalidSpec
from c2f_spec.files import DISK
from c2f_spec.keys import tree_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from c2f_spec.files import Files
    from c2f_spec.store.protocol import ObjectStore


ROOT = Path(c2f_spec.__file__).resolve().parent.parent
PACKAGES = ("c2f_spec", "runtime")
"""Our packages: an import of theirs must resolve to a file."""
FAMILIES = frozenset(f"runtime.{name}" for name in ("datasets", "filters", "models", "rewards", "teachers"))
IN_KEYS = ("runtime", "c2f_spec.metrics")
KEEPS_ALIVE = (
    "runtime.checkpoints",
    "runtime.endpoints",
    "runtime.media.decoded_cache",
    "runtime.media.prefetch",
    "runtime.process.heartbeat",
    "runtime.process.signals",
    "runtime.training.checkpoint_callback",
    "runtime.training.monitor",
)
"""Checkpoints, requests to endpoints, watchdog, caches of decoded clips, limits on a diverging training, measurements."""
MAX_BYTES = 1_000_000
"""Largest file of code: a revision under review is not trusted with more."""
DATA_SUFFIXES = (".css", ".js", ".json", ".toml", ".yaml")
"""Files beside modules that modules read: those that pyproject.toml declares as package data."""


@dataclass(slots=True)
class SourceTree:
    """The Python files of our two packages below `root`, on this disk or in a git revision."""

    files: Files = DISK
    root: Path = ROOT
    _paths: dict[str, Path | None] = field(default_factory=dict)
    _contents: dict[Path, bytes] = field(default_factory=dict)
    _digests: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def digests(self, kind: str, members: dict[str, tuple[str, ...]]) -> dict[str, str]:
        """Return path and digest of every file in the key of a stage of `kind`; `members` of families are those in use."""
        entries = [f"runtime.stages.{kind}"]
        entries += [f"runtime.{family}.{member}" for family, names in members.items() for member in names]
        if tuple(entries) not in self._digests:
            modules = self._closure(entries, in_keys)
            digests = {self.name(path): _digest(self.read(path)) for path in modules.values()}
            self._digests[tuple(entries)] = dict(sorted(digests.items()))
        return self._digests[tuple(entries)]

    def imported_files(self, entries: list[str]) -> set[str]:
        """Return the files of all modules that `entries` lead to, with the packages that they lie in."""
        return {self.name(path) for path in self._closure(entries, of_ours).values()}

    def _closure(self, entries: list[str], follow: Callable[[str], bool]) -> dict[str, Path]:
        """Return name and file of all modules that `entries` lead to: their imports and packages that `follow` accepts."""
        found: dict[str, Path] = {}
        waiting = list(entries)
        while waiting:
            module = waiting.pop()
            path = self.path(module)
            if module in found or path is None:
                continue
            found[module] = path
            try:
                imported = imports(self.read(path), module if path.stem == "__init__" else parent(module))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise InvalidSpec(
                    f"{self.name(path)} is not Python: {error}", hint="a key holds the code", code="C2F441"
                ) from None
            modules = {self.resolve(*names, path) for names in imported if of_ours(names[0])}
            waiting += [name for name in modules | {parent(module)} if follow(name)]
        return found

    def resolve(self, module: str, member: str, importer: Path) -> str:
        """Return the module that an import means: the member of a package, or the module that has the member.

        Raises `InvalidSpec` for a module that does not exist: a pod could not import it either.
        """
        if member and self.path(f"{module}.{member}"):
            return f"{module}.{member}"
        if self.path(module):
            return module
        raise InvalidSpec(
            f"{self.name(importer)} imports `{module}`, which does not exist",
            hint="correct the import",
            code="C2F443",
        )

    def path(self, module: str) -> Path | None:
        """Return the file of a module, or `None`."""
        if module not in self._paths:
            base = self.root.joinpath(*module.split("."))
            places = (base.with_suffix(".py"), base / "__init__.py")
            self._paths[module] = next((p for p in places if self.files.is_file(p)), None)
        return self._paths[module]

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def read(self, path: Path) -> bytes:
        if path not in self._contents:
            self._contents[path] = self.files.read(path, MAX_BYTES)
        return self._contents[path]


HERE = SourceTree()
"""The code that this program runs with. Files are read once."""


def parent(module: str) -> str:
    return module.rpartition(".")[0]


def below(module: str, packages: tuple[str, ...]) -> bool:
    """Return whether a module is one of `packages` or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def of_ours(module: str) -> bool:
    return below(module, PACKAGES)


def in_keys(module: str) -> bool:
    """Return whether the code of an imported module enters keys."""
    return below(module, IN_KEYS) and not below(module, KEEPS_ALIVE) and module not in FAMILIES


@cache
def imports(content: bytes, package: str) -> frozenset[tuple[str, str]]:
    """Return what a file of `package` imports, anywhere in it: modules, and the name taken from each or an empty one."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(_tree(content)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {(module, alias.name) for alias in node.names}
    return frozenset(found)


def versions(digest: str, accepted: Mapping[str, str]) -> list[str]:
    """Return `digest` and its older versions that the lock accepts as computing the same, the oldest last."""
    chain = [digest]
    while (older := accepted.get(chain[-1])) and older not in chain:
        chain.append(older)
    return chain


@cache
def _tree(content: bytes) -> ast.Module:
    return ast.parse(content)


@cache
def _digest(content: bytes) -> str:
    return tree_digest(_tree(content))


# Bundles: what a pod unpacks and runs.

BundleKind = Literal["stage", "driver"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Bytes of a zip, and their SHA-256."""

    digest: str
    data: bytes

    @property
    def name(self) -> str:
        """Return its object's name in the store."""
        return bundle_name(self.digest)


def bundle_name(digest: str) -> str:
    return f"code/{digest}.zip"


@cache
def bundle(kind: BundleKind) -> Bundle:
    """Return the bundle of stages, or of the driver, from the files of this installation."""
    return bundle_of(ROOT, kind)


def bundle_of(root: Path, kind: BundleKind) -> Bundle:
    """Return the bundle from the files below `root`; equal files give equal bytes on every machine."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(_bundled(root, kind)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # as on Unix, wherever this runs
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (root / name).read_bytes())
    data = out.getvalue()
    return Bundle(hashlib.sha256(data).hexdigest(), data)


def store_bundle(store: ObjectStore, bundle: Bundle) -> None:
    """Put a bundle into the store, unless it is there."""
    if not store.exists(bundle.name):
        store.create(bundle.name, bundle.data)


def _bundled(root: Path, kind: BundleKind) -> set[str]:
    """Return names of files: for the driver all of `c2f_spec`; for stages the runtime, and what it imports."""
    if kind == "driver":
        return _files_below(root, "c2f_spec")
    runtime = _files_below(root, "runtime")
    modules = [_module(name) for name in runtime if name.endswith(".py")]
    imported = SourceTree(root=root).imported_files(modules)
    folders = {(root / name).parent for name in imported}
    data = {p.relative_to(root).as_posix() for f in folders for p in f.iterdir() if p.suffix in DATA_SUFFIXES}
    return runtime | imported | data


def _module(name: str) -> str:
    """Return the module of a file, as `runtime.text` for `runtime/text/__init__.py`."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _files_below(root: Path, folder: str) -> set[str]:
    suffixes = (".py", *DATA_SUFFIXES)
    return {
        p.relative_to(root).as_posix()
        for p in (root / folder).rglob("*")
        if p.suffix in suffixes and p.is_file()
    }
