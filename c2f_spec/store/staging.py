"""Stored files → files of this machine, each verified by its own digest before anybody reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.errors import Damaged
from c2f_spec.store.digest import digest_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from c2f_spec.spec.handoff import FileEntry
    from c2f_spec.store.objects import Objects


def stage(objects: Objects, name: str, files: Mapping[str, FileEntry], into: Path, way_out: str) -> Path:
    """A folder with `files` of the stored folder `name`: itself, if it lies here, else `into`.

    Raises `Damaged` naming the first file that is missing or differs, with `way_out` as the hint.
    """
    for path, entry in files.items():
        stage_file(objects, name, path, entry, way_out)
    folder = objects.local(name)
    assert folder is not None, into
    return folder


def stage_file(objects: Objects, name: str, path: str, entry: FileEntry, way_out: str) -> Path:
    """One file of a stored folder, as `stage` has it."""
    folder = objects.local(name)
    assert folder is not None
    file = folder / path
    problem = "is missing" if not file.is_file() else "" if digest_file(file).same(entry) else "was changed"
    if problem:
        raise Damaged(f"{file} {problem} since it was committed", hint=way_out)
    return file
