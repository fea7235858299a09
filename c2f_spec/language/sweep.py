"""`sweep:` → points: what is set, and in how many combinations.

    matrix: {path: [values], ...}    every combination, in the order written, the last axis fastest
    zip: {path: [values], ...}       axes of one length that move together; with `matrix`, one more axis of it
    exclude: [{path: value}, ...]    combinations to leave out
    include: [{path: value}, ...]    points to add
    ablate: {path: [values], ...}    the base, and one point for each value: one factor at a time
    variants: {name: {path: value}}  points with a name of their own
    seeds: [42, 43, 44]              each point on each seed
    max_variants: 64                 refuse to make more

Sizes are multiplied before anything is built, so a hostile matrix costs nothing.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.language.document import BUILDING
from c2f_spec.language.overrides import Setting, is_path
from c2f_spec.language.suggestions import format_value, suggest
from c2f_spec.language.tree import Source, Tree
from c2f_spec.spec.base import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.diagnostics.diagnostic import Loc, Problems

FIELDS = ("matrix", "zip", "include", "exclude", "variants", "ablate", "seeds", "max_variants")
FIXED = ("c2f", "name", "sweep", *BUILDING)
MAX_VARIANTS = 64
MOST = 10_000
"""`max_variants` may ask for so many."""


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of settings. Settings of one axis value are the same object in every point."""

    settings: tuple[Setting, ...]
    name: str | None = None
    seed: str | None = None
    factor: Setting | None = None
    """The one thing in which it is said to differ from the base."""


def points(tree: Tree, problems: Problems) -> list[Point]:
    """The points of the sweep of a spec. Raises `SpecErrors`."""
    reader = _Reader(tree, problems)
    section = tree.data["sweep"]
    at = tree.values["sweep",]
    if not isinstance(section, dict) or not section:
        problems.fail(at, "C2F531", "`sweep` must be a map with an axis", suggest("", FIELDS))
    for name in section:
        if name not in FIELDS:
            problems.add_at_key(
                tree, ("sweep", name), "C2F531", f"unknown field `{name}`", suggest(name, FIELDS)
            )
    matrix, zipped, ablated = (reader.axes(name) for name in ("matrix", "zip", "ablate"))
    seeds, most = reader.seeds(), reader.most()
    reader.apart([*matrix, *zipped], seeds)
    for axis in ablated:
        reader.apart([axis], seeds)
    pairs = reader.pairs(zipped)
    problems.raise_any()
    size = math.prod(map(len, matrix)) * len(pairs)
    if size > MOST:
        problems.fail(at, "C2F538", f"{size:,} combinations; at most {MOST:,} are made", "shorten an axis")
    grid = [(*a, *b) for a in itertools.product(*matrix) for b in pairs] if matrix or zipped else []
    grid = reader.excluded(grid)
    found = [Point(settings) for settings in (*grid, *reader.included())]
    found += [Point((), name="base")] if ablated else []
    found += [Point((s,), factor=s) for axis in ablated for s in axis]
    found += reader.named()
    problems.raise_any()
    if not found and not seeds:
        problems.fail(at, "C2F539", "the sweep leaves no variant", "add an axis, or exclude less")
    found = found or [Point(())]
    count = len(found) * max(1, len(seeds))
    if count > most:
        hint = "shorten an axis, or raise `sweep.max_variants` if they are all wanted"
        problems.fail(at, "C2F538", f"{count:,} variants; `max_variants` is {most:,}", hint)
    if not seeds:
        return found
    return [
        Point((*p.settings, s), p.name, str(s.source.value), p.factor)
        for p, s in itertools.product(found, seeds)
    ]


def normal(value: Any) -> Any:
    """Equal for equal values: `0.1` is `0.10`."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return repr(value)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the fields of the section, and complains."""

    tree: Tree
    problems: Problems

    def section(self, name: str, kind: type) -> Any:
        """A field of the sweep, if it is there and a map or a list with something in it."""
        value = self.tree.data["sweep"].get(name)
        if value is None or (isinstance(value, kind) and value):
            return value or ()
        words = "a map of paths" if kind is dict else "a list"
        self.complain(("sweep", name), "C2F532", f"`{name}` must be {words}, not `{format_value(value)}`")
        return ()

    def complain(self, loc: Loc, code: str, message: str, hint: str = "") -> None:
        self.problems.add(self.tree.values[loc], code, message, hint)

    def axes(self, name: str) -> list[list[Setting]]:
        """An axis for each path: a setting for each of its values."""
        found = []
        for path in self.section(name, dict):
            at: Loc = ("sweep", name, path)
            values = self.tree.data["sweep"][name][path]
            if not isinstance(values, list) or not values:
                self.complain(at, "C2F530", f"axis `{path}` must be a list of values", f"`{path}: [...]`")
                continue
            seen = set()
            for i, value in enumerate(values):
                if normal(value) in seen:
                    self.complain(
                        (*at, i), "C2F545", f"`{format_value(value)}` stands twice in axis `{path}`"
                    )
                seen.add(normal(value))
            if self.path(path, at):
                told = "ablation" if name == "ablate" else "axis"
                note = f"set by sweep {told} `{path}` at {self.tree.keys[at]}"
                found.append([self.setting(path, (*at, i), at, note) for i in range(len(values))])
        return found

    def setting(self, path: str, at: Loc, key: Loc, note: str) -> Setting:
        notes = (*self.tree.origins.get(at, ()), note)
        return Setting(tuple(path.split(".")), Source(self.tree, at, notes, self.tree.keys[key]))

    def path(self, path: str, at: Loc) -> bool:
        """Whether `path` can be set by a sweep."""
        if not is_path(path):
            self.problems.add_at_key(
                self.tree, at, "C2F542", f"`{format_value(path)}` is not a path of fields"
            )
        elif (first := path.split(".", 1)[0]) in FIXED:
            hint = "sweep a parameter as `params.name`" if first in BUILDING else ""
            self.problems.add_at_key(self.tree, at, "C2F542", f"`{path}` cannot be swept", hint)
        else:
            return True
        return False

    def apart(self, axes: list[list[Setting]], seeds: list[Setting]) -> None:
        """No two axes set the same thing."""
        if len(axes) > 100:
            self.complain(
                ("sweep",), "C2F547", f"{len(axes)} axes", "a sweep of a few axes can be understood"
            )
            return
        chosen = [a[0] for a in axes] + seeds[:1]
        for one, other in itertools.combinations(chosen, 2):
            if one.overlaps(other):
                message = f"`{other.dotted}` and `{one.dotted}` set the same field"
                self.problems.add(
                    other.source.key or other.source.place, "C2F541", message, "keep one of them"
                )

    def pairs(self, axes: list[list[Setting]]) -> list[tuple[Setting, ...]]:
        if len({len(a) for a in axes}) > 1:
            lengths = ", ".join(f"`{a[0].dotted}` has {len(a)}" for a in axes)
            self.complain(("sweep", "zip"), "C2F533", f"axes of `zip` differ in length: {lengths}")
        return list(zip(*axes, strict=False)) if axes else [()]

    def seeds(self) -> list[Setting]:
        values = self.section("seeds", list)
        found, seen = [], set()
        for i, value in enumerate(values):
            at: Loc = ("sweep", "seeds", i)
            if not isinstance(value, str) or not re.fullmatch("[0-9]{1,10}", value):
                self.complain(at, "C2F536", f"a seed must be a whole number, not `{format_value(value)}`")
            elif int(value) in seen:
                self.complain(at, "C2F549", f"`{value}` stands twice in `seeds`")
            else:
                seen.add(int(value))
                note = f"set by `sweep.seeds` at {self.tree.keys['sweep', 'seeds']}"
                found.append(self.setting("seed", at, ("sweep", "seeds"), note))
        return found

    def most(self) -> int:
        value = self.tree.data["sweep"].get("max_variants")
        if value is None:
            return MAX_VARIANTS
        if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value) and 0 < int(value) <= MOST:
            return int(value)
        at: Loc = ("sweep", "max_variants")
        self.complain(at, "C2F537", f"`max_variants` must be from 1 to {MOST:,}, not `{format_value(value)}`")
        return MAX_VARIANTS

    def maps(self, name: str) -> Iterable[tuple[Loc, dict[str, Any]]]:
        """The maps of a list."""
        for i, value in enumerate(self.section(name, list)):
            at: Loc = ("sweep", name, i)
            if isinstance(value, dict) and value:
                yield at, value
            else:
                self.complain(at, "C2F534", f"`{name}` is a list of maps from paths to values")

    def excluded(self, grid: list[tuple[Setting, ...]]) -> list[tuple[Setting, ...]]:
        """`grid` without the combinations of `exclude`; one that matches nothing is a mistake."""
        axes = [s.dotted for s in grid[0]] if grid else []
        if len(self.section("exclude", list)) * len(grid) > MOST * 100:
            self.complain(("sweep", "exclude"), "C2F548", "too many combinations to look through")
            return grid
        for at, unwanted in self.maps("exclude"):
            unknown = [path for path in unwanted if path not in axes]
            for path in unknown:
                self.problems.add_at_key(
                    self.tree, (*at, path), "C2F544", f"`{path}` is no axis", suggest(path, axes)
                )
            if unknown:
                continue
            wanted = [(axes.index(path), normal(value)) for path, value in unwanted.items()]
            kept = [p for p in grid if not all(normal(p[i].source.value) == v for i, v in wanted)]
            if len(kept) == len(grid):
                self.complain(at, "C2F535", "nothing to exclude: no combination has these values")
            grid = kept
        return grid

    def included(self) -> list[tuple[Setting, ...]]:
        return [self.fields(at, wanted, "`sweep.include`") for at, wanted in self.maps("include")]

    def named(self) -> list[Point]:
        found = []
        for name in self.section("variants", dict):
            at: Loc = ("sweep", "variants", name)
            wanted = self.tree.data["sweep"]["variants"][name]
            if not re.fullmatch(NAME_PATTERN, name) or len(name) > 40:
                message = f"`{format_value(name)}` cannot be a name"
                hint = "lower-case letters, digits and dashes, at most 40"
                self.problems.add_at_key(self.tree, at, "C2F543", message, hint)
            elif not isinstance(wanted, dict):
                self.complain(at, "C2F546", "a variant is a map from paths to values; `{}` is the base")
            else:
                found.append(Point(self.fields(at, wanted, f"sweep variant `{name}`"), name=name))
        return found

    def fields(self, at: Loc, wanted: dict[str, Any], what: str) -> tuple[Setting, ...]:
        note = f"set by {what} at {self.tree.keys.get(at, self.tree.values[at])}"
        paths = [path for path in wanted if self.path(path, (*at, path))]
        return tuple(self.setting(path, (*at, path), (*at, path), note) for path in paths)
