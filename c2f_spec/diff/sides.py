"""Compile one side of a comparison: specs of one place and revision."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.diff.git import Revision
from c2f_spec.errors import C2fError, UsageError
from c2f_spec.files import DISK
from c2f_spec.plan.code import HERE, SourceTree
from c2f_spec.plan.compile import compile_plan, load_environment, load_variants

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from c2f_spec.files import Files
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.environment import Environment

MOST_SPECS = 1000
"""On one side; whoever proposes more has not written them."""
INHERITANCE_FIELDS = (b"extends", b"template")
"""A spec without these words depends on no other file of specs."""


@dataclass(frozen=True)
class Place:
    """The files of a side, and its environment."""

    name: str
    files: Files
    root: Path
    """The repository."""
    on: str | None = None
    environments: Path | None = None
    code: SourceTree = field(default_factory=lambda: HERE)


@dataclass
class Side:
    """The plans of one side, by the name of their spec file."""

    name: str
    plans: dict[str, Plan] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Spec files that do not compile, with their first problem."""

    @property
    def stages(self) -> dict[str, Stage]:
        """Return the stages of all plans, by key."""
        return {s.key: s for plan in self.plans.values() for s in plan.stages}


def place_of(files: Files, name: str, root: Path, on: str | None, environments: Path | None) -> Place:
    """Return a place with the repository's own runtime, if it has one: then its code changes with its revisions."""
    own = root / "runtime" / "stages"
    there = (
        any(p.startswith("runtime/stages/") for p in files.entries)
        if isinstance(files, Revision)
        else own.is_dir()
    )
    return Place(name, files, root, on, environments, SourceTree(files, root) if there else HERE)


def specs_in(place: Place, paths: Sequence[str]) -> list[str]:
    """Return spec files at or below `paths`, by their name from the root of the repository."""
    wanted = [os.path.relpath(os.path.realpath(p), place.root) for p in paths]
    if isinstance(place.files, Revision):
        known: Iterable[str] = place.files.entries
    else:
        known = _on_disk(place.root, wanted)
    found = sorted(p for p in known if p.endswith((".yaml", ".yml")) and any(_below(p, w) for w in wanted))
    if len(found) > MOST_SPECS:
        message = f"{len(found):,} specs in {', '.join(paths)} of {place.name}: more than {MOST_SPECS:,}"
        raise UsageError(message, hint="name fewer files or folders")
    return found


def _on_disk(root: Path, wanted: Sequence[str]) -> Iterable[str]:
    for name in wanted:
        path = root / name
        found = path.rglob("*") if path.is_dir() else (path,)
        yield from (p.relative_to(root).as_posix() for p in found if p.is_file())


def _below(path: str, folder: str) -> bool:
    return folder in (".", path) or path.startswith(f"{folder}/")


def compile_side(place: Place, specs: Sequence[str], known: Side | None = None) -> Side:
    """Compile `specs`; unchanged ones are taken from `known`."""
    made = Side(place.name)
    environments: dict[str, Environment] = {}
    for spec in specs:
        if known and spec in known.plans:
            made.plans[spec] = known.plans[spec]
        elif known and spec in known.broken:
            made.broken[spec] = known.broken[spec]
        else:
            _compile(made, place, spec, environments)
    return made


def _compile(made: Side, place: Place, spec: str, environments: dict[str, Environment]) -> None:
    """Compile a spec alone, so that one that does not compile hides no other. Templates are skipped."""
    path = place.root / spec
    try:
        loaded = load_variants(path, (), place.files, spec)
        name = place.on or loaded[0].experiment.environment
        if name not in environments:
            environments[name] = load_environment(name, place.root, place.environments, place.files)
        made.plans[spec] = compile_plan(loaded, None, environments[name], name, code=place.code)
    except C2fError as error:
        if not _is_template(place.files.read(path, 1_000_000) if place.files.is_file(path) else b""):
            first = error.diagnostics[0] if isinstance(error, SpecErrors) else error
            where = f"line {first.place.line}: " if not isinstance(first, C2fError) else ""
            made.broken[spec] = f"{where}{first.message}"


def _is_template(data: bytes) -> bool:
    return data.startswith(b"params:") or b"\nparams:" in data


def affected_specs(old: Place, new: Place, specs: Iterable[str]) -> set[str]:
    """Return specs that may have another plan: they changed, or a file that they inherit from did.

    Two revisions differ in few files, and most specs stand alone; each that does not change is compiled once.
    """
    if not isinstance(old.files, Revision) or not isinstance(new.files, Revision):
        return set(specs)
    before, after = old.files.entries, new.files.entries
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    shared = [p for p in changed if not p.endswith((".yaml", ".yml")) or "/environments/" in p]
    if any(p.endswith((".lock", ".py")) or "/environments/" in p for p in shared):
        return set(specs)
    return {s for s in specs if s in changed or _builds_on_others(new, s)}


def _builds_on_others(place: Place, spec: str) -> bool:
    path = place.root / spec
    return place.files.is_file(path) and any(
        w in place.files.read(path, 1_000_000) for w in INHERITANCE_FIELDS
    )


def sides_of_files(first: Path, second: Path, on: str | None, environments: Path | None) -> tuple[Side, Side]:
    """Return two files on this machine as two versions of one spec."""
    from c2f_spec.plan.compile import repository

    sides = []
    for path in (first, second):
        place = place_of(DISK, str(path), repository(path), on, environments)
        found = compile_side(place, [os.path.relpath(os.path.realpath(path), place.root)])
        plans = {str(second): plan for plan in found.plans.values()}
        sides.append(Side(found.name, plans, {str(second): why for why in found.broken.values()}))
    return sides[0], sides[1]
