"""The reviewed code as one file, named by its digest: `code/<digest>.zip` in the store.

The image of a stage holds dependencies only, so a reward or a data set that a pull request adds runs with no image
build. The same files give the same bytes on every machine: sorted names, no times, no compression (whose output
differs between versions of zlib).
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import c2f_spec

if TYPE_CHECKING:
    from c2f_spec.store.objects import Objects

ROOT = Path(c2f_spec.__file__).resolve().parent.parent
FOR_STAGES = ("__init__", "spec", "keys", "store", "metrics", "errors")
"""What of `c2f_spec` the runtime may import (DESIGN: "Layout and layers")."""
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
        return f"code/{self.digest}.zip"


@cache
def bundle(what: What) -> Bundle:
    """What a stage runs, or what the driver does, from the files of this installation."""
    return bundle_of(ROOT, what)


def bundle_of(root: Path, what: What) -> Bundle:
    """The same from the files below `root`."""
    packages = ("c2f_spec", "runtime") if what == "stage" else ("c2f_spec",)
    paths = [p for package in packages for p in (root / package).rglob("*") if p.suffix in SUFFIXES]
    names = sorted(p.relative_to(root).as_posix() for p in paths if p.is_file())
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            if what == "stage" and not _for_stages(name):
                continue
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # as on Unix, wherever this runs
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (root / name).read_bytes())
    data = out.getvalue()
    return Bundle(hashlib.sha256(data).hexdigest(), data)


def store_bundle(objects: Objects, made: Bundle) -> None:
    """Put it into the store, unless it is there."""
    if not objects.exists(made.name):
        objects.create(made.name, made.data)


def _for_stages(name: str) -> bool:
    package, _, rest = name.partition("/")
    return package == "runtime" or rest.partition("/")[0].removesuffix(".py") in FOR_STAGES
