"""The code that a stage can reach, file by file: part of its key (DESIGN: "Stages, keys, plan").

Files are read as text and never imported. A file's digest is that of `keys.code_digest`.

Three borders. A family's `__init__` (a dict of its members) is not followed: rewards, filters, data sets, teachers and
models enter only where the spec names them, so that adding or editing one re-runs what uses it and nothing else. And
`c2f_spec.{spec,store,keys,errors}` are left out: what they say enters a key by value, or they move bytes; with them
in, every new field of the schema would run everything again. So is what keeps a stage alive (`KEEPS_ALIVE`): it may
end a stage or let it go on, and tests hold that it changes no bit of a result.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import zipfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import c2f_spec
from c2f_spec.errors import InvalidSpec
from c2f_spec.files import DISK
from c2f_spec.keys import code_digest

if TYPE_CHECKING:
    from c2f_spec.files import Files
    from c2f_spec.store.protocol import ObjectStore


ROOT = Path(c2f_spec.__file__).resolve().parent.parent
IMPORT = re.compile(rb"^[ \t]*(?:from|import) (c2f_spec(?:\.\w+)*)(?: import ([\w, ]+))?", re.MULTILINE)
SUFFIXES = (".py", ".yaml", ".toml", ".json", ".css")

What = Literal["stage", "driver"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Bytes of a zip, and their SHA-256."""

    digest: str
    data: bytes

    @property
    def name(self) -> str:
        """Of the object in the store."""
        return bundle_name(self.digest)


def bundle_name(digest: str) -> str:
    return f"code/{digest}.zip"


@cache
def bundle(what: What) -> Bundle:
    """What a stage runs, or what the driver does, from the files of this installation."""
    return bundle_of(ROOT, what)


def bundle_of(root: Path, what: What) -> Bundle:
    """The same from the files below `root`."""
    files = {name: (root / name).read_bytes() for name in _files(root, what)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # as on Unix, wherever this runs
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    data = out.getvalue()
    return Bundle(hashlib.sha256(data).hexdigest(), data)


def store_bundle(objects: ObjectStore, made: Bundle) -> None:
    """Put it into the store, unless it is there."""
    if not objects.exists(made.name):
        objects.create(made.name, made.data)


def _files(root: Path, what: What) -> set[str]:
    """Names of the files: all of ours for the driver; for stages the runtime, and what of `c2f_spec` it leads to."""
    if what == "driver":
        return set(_below(root, "c2f_spec"))
    found: set[str] = set()
    waiting = [*_below(root, "runtime"), "c2f_spec/__init__.py"]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [f for module in _imported(root / name) for f in _of_module(root, module)]
    return found


def _imported(path: Path) -> set[str]:
    """Modules of `c2f_spec` that a file imports, anywhere in it. Comments that look like imports only add files."""
    modules = set()
    for module, names in IMPORT.findall(path.read_bytes()):
        if module != b"c2f_spec":
            modules.add(module.decode())
        elif names:  # `import c2f_spec` itself is its `__init__`, which is always there
            modules |= {f"c2f_spec.{name.strip()}" for name in names.decode().split(",")}
    return modules


def _of_module(root: Path, module: str) -> list[str]:
    """The file of a module, and the packages that it is in; of a package everything, as any part may be meant."""
    *parents, _ = module.split(".")
    packages = ["/".join([*parents[: i + 1], "__init__.py"]) for i in range(len(parents))]
    path = module.replace(".", "/")
    own = _below(root, path) if (root / path).is_dir() else [f"{path}.py"]
    return [name for name in [*packages, *own] if (root / name).is_file()]


def _below(root: Path, folder: str) -> list[str]:
    return [
        p.relative_to(root).as_posix()
        for p in (root / folder).rglob("*")
        if p.suffix in SUFFIXES and p.is_file()
    ]


FAMILIES = frozenset(f"runtime.{name}" for name in ("datasets", "filters", "models", "rewards", "teachers"))
FOLLOWED = ("runtime", "c2f_spec.metrics")
KEEPS_ALIVE = (
    "runtime.checkpoints",
    "runtime.endpoints",
    "runtime.process.heartbeat",
    "runtime.media.prefetch",
    "runtime.media.decoded_cache",
    "runtime.process.signals",
    "runtime.training.checkpoint_callback",
    "runtime.training.divergence_guard",
    "runtime.training.throughput",
)
"""Checkpoints, what carries requests, watchdog, decoded clips that are kept, limits on a training that goes wrong, measurements."""
MAX_BYTES = 1_000_000
"""Of a file of code: a revision under review is not trusted with more."""


@dataclass(slots=True)
class Code:
    """The sources below `root`, of this machine or of a revision."""

    files: Files = DISK
    root: Path = ROOT
    found: dict[str, Path | None] = field(default_factory=dict)
    contents: dict[Path, bytes] = field(default_factory=dict)
    reached: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)

    def of(self, kind: str, named: dict[str, tuple[str, ...]]) -> dict[str, str]:
        """Path to digest of every file that a stage of `kind` can reach; `named` are the members of families in use."""
        entries = [f"runtime.stages.{kind}"]
        entries += [f"runtime.{family}.{member}" for family, members in named.items() for member in members]
        if tuple(entries) not in self.reached:
            self.reached[tuple(entries)] = self._closure(entries)
        return self.reached[tuple(entries)]

    def _closure(self, entries: list[str]) -> dict[str, str]:
        reached: set[str] = set()
        waiting = list(entries)
        digests: dict[str, str] = {}
        while waiting:
            module = waiting.pop()
            if module in reached or (path := self._file(module)) is None:
                continue
            reached.add(module)
            name = path.relative_to(self.root).as_posix()
            try:
                digests[name] = _digest(self._read(path))
                waiting += _imports(self._read(path))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise InvalidSpec(
                    f"{name} is not Python: {error}", hint="a key holds the code", code="C2F441"
                ) from None
        return dict(sorted(digests.items()))

    def _file(self, module: str) -> Path | None:
        if module not in self.found:
            base = self.root.joinpath(*module.split("."))
            places = (base.with_suffix(".py"), base / "__init__.py")
            self.found[module] = next((p for p in places if self.files.is_file(p)), None)
        return self.found[module]

    def _read(self, path: Path) -> bytes:
        if path not in self.contents:
            self.contents[path] = self.files.read(path, MAX_BYTES)
        return self.contents[path]


HERE = Code()
"""The code that this program runs with. Files are read once."""


@cache
def _tree(content: bytes) -> ast.Module:
    return ast.parse(content)


@cache
def _imports(content: bytes) -> tuple[str, ...]:
    """What may be modules of ours among what a file imports, anywhere in it; a family's own module is a border."""
    found: set[str] = set()
    for node in ast.walk(_tree(content)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    followed = {m for m in found if m.startswith(FOLLOWED) and not m.startswith(KEEPS_ALIVE)}
    return tuple(sorted(followed - FAMILIES))


_digest = cache(code_digest)
