"""The reviewed code as one file, named by its digest: `code/<digest>.zip` in the store.

The image of a stage holds dependencies only, so a reward or a data set that a pull request adds runs with no image
build. The same files give the same bytes on every machine: sorted names, no times, no compression (whose output
differs between versions of zlib).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import c2f_spec

if TYPE_CHECKING:
    from c2f_spec.store.objects import Objects

ROOT = Path(c2f_spec.__file__).resolve().parent.parent
IMPORT = re.compile(rb"^[ \t]*(?:from|import) (c2f_spec(?:\.\w+)*)(?: import ([\w, ]+))?", re.MULTILINE)
SUFFIXES = (".py", ".yaml", ".json", ".css")

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


def store_bundle(objects: Objects, made: Bundle) -> None:
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
