"""Parse `sweep:` into points, each a combination of settings.

    matrix: {path: [values], ...}    every combination, in the order written, the last axis fastest
    zip: {path: [values], ...}       axes of one length that move together; with `matrix`, one more axis of it
    exclude: [{path: value}, ...]    combinations to remove
    include: [{path: value}, ...]    points to add
    ablate: {path: [values], ...}    the base, and one point for each value: one factor at a time
    variants: {name: {path: value}}  named points
    seeds: [42, 43, 44]              each point on each seed
    max_variants: 64                 an error if there are more

Sizes are multiplied before anything is built, so a hostile matrix costs nothing.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.language.document import INHERITANCE_FIELDS
from c2f_spec.language.overrides import Setting, is_path
from c2f_spec.language.suggestions import format_value, suggest
from c2f_spec.language.tree import Source, Tree
from c2f_spec.spec.base import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from c2f_spec.diagnostics.diagnostic import Loc, Problems

FIELDS = ("matrix", "zip", "include", "exclude", "variants", "ablate", "seeds", "max_variants")
FIXED = ("c2f", "name", "sweep", *INHERITANCE_FIELDS)
MAX_VARIANTS = 64
MOST_VARIANTS = 10_000
"""Highest value of `max_variants`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of settings. Settings of one axis value are the same object in every point."""

    settings: tuple[Setting, ...]
    name: str | None = None
    seed: str | None = None
    factor: Setting | None = None
    """The only setting in which an ablation differs from the base."""


def points(tree: Tree, problems: Problems) -> list[Point]:
    """Return the points of the sweep of a spec. Raises `SpecErrors`."""
    reader = _Reader(tree, problems)
    section = tree.data["sweep"]
    at = tree.values["sweep",]
    if not isinstance(section, dict) or not section:
        problems.fail(at, "C2F531", "`sweep` must be a map with at least one axis", suggest("", FIELDS))
    for name in section:
        if name not in FIELDS:
            problems.add_at_key(
                tree, ("sweep", name), "C2F531", f"unknown field `{name}`", suggest(name, FIELDS)
            )
    matrix, zipped, ablated = (reader.axes(name) for name in ("matrix", "zip", "ablate"))
    seeds, most = reader.seeds(), reader.most()
    reader.check_overlaps([*matrix, *zipped], seeds)
    for axis in ablated:
        reader.check_overlaps([axis], seeds)
    pairs = reader.pairs(zipped)
    problems.raise_any()
    size = math.prod(map(len, matrix)) * len(pairs)
    if size > MOST_VARIANTS:
        problems.fail(
            at, "C2F538", f"too many combinations: {size:,}, at most {MOST_VARIANTS:,}", "shorten an axis"
        )
    grid = [(*a, *b) for a in itertools.product(*matrix) for b in pairs] if matrix or zipped else []
    grid = reader.excluded(grid)
    found = [Point(settings) for settings in (*grid, *reader.included())]
    found += [Point((), name="base")] if ablated else []
    found += [Point((s,), factor=s) for axis in ablated for s in axis]
    found += reader.named()
    problems.raise_any()
    if not found and not seeds:
        problems.fail(
            at, "C2F539", "the sweep has no variants", "add an axis, or remove entries of `exclude`"
        )
    found = found or [Point(())]
    count = len(found) * max(1, len(seeds))
    if count > most:
        hint = "shorten an axis, or raise `sweep.max_variants`"
        problems.fail(at, "C2F538", f"too many variants: {count:,}, `max_variants` is {most:,}", hint)
    if not seeds:
        return found
    return [
        Point((*p.settings, s), p.name, str(s.source.value), p.factor)
        for p, s in itertools.product(found, seeds)
    ]


def normalise(value: Any) -> Any:
    """Return a form that is equal for equal values: that of `0.1` and `0.10`."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return repr(value)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Read the fields of the section, and report problems."""

    tree: Tree
    problems: Problems

    def section(self, name: str, kind: type) -> Any:
        """Return a field of the sweep, or `()` if it is absent or empty."""
        value = self.tree.data["sweep"].get(name)
        if value is None or (isinstance(value, kind) and value):
            return value or ()
        expected = "a map of paths" if kind is dict else "a list"
        self.report(("sweep", name), "C2F532", f"`{name}` must be {expected}, not `{format_value(value)}`")
        return ()

    def report(self, loc: Loc, code: str, message: str, hint: str = "") -> None:
        self.problems.add(self.tree.values[loc], code, message, hint)

    def axes(self, name: str) -> list[list[Setting]]:
        """Return an axis for each path: a setting for each of its values."""
        found = []
        for path in self.section(name, dict):
            at: Loc = ("sweep", name, path)
            values = self.tree.data["sweep"][name][path]
            if not isinstance(values, list) or not values:
                self.report(at, "C2F530", f"axis `{path}` must be a list of values", f"write `{path}: [...]`")
                continue
            distinct = set()
            for i, value in enumerate(values):
                if normalise(value) in distinct:
                    self.report(
                        (*at, i), "C2F545", f"duplicate value `{format_value(value)}` in axis `{path}`"
                    )
                distinct.add(normalise(value))
            if self.is_sweepable(path, at):
                axis = "ablation" if name == "ablate" else "axis"
                note = f"set by sweep {axis} `{path}` at {self.tree.keys[at]}"
                found.append([self.setting(path, (*at, i), at, note) for i in range(len(values))])
        return found

    def setting(self, path: str, at: Loc, key: Loc, note: str) -> Setting:
        notes = (*self.tree.origins.get(at, ()), note)
        return Setting(tuple(path.split(".")), Source(self.tree, at, notes, self.tree.keys[key]))

    def is_sweepable(self, path: str, at: Loc) -> bool:
        """Return whether a sweep can set `path`, and report it if not."""
        if not is_path(path):
            self.problems.add_at_key(self.tree, at, "C2F542", f"invalid path `{format_value(path)}`")
        elif (first := path.split(".", 1)[0]) in FIXED:
            hint = "set parameters as `params.name`" if first in INHERITANCE_FIELDS else ""
            self.problems.add_at_key(self.tree, at, "C2F542", f"`{path}` cannot be swept", hint)
        else:
            return True
        return False

    def check_overlaps(self, axes: list[list[Setting]], seeds: list[Setting]) -> None:
        """Report axes that set the same field."""
        if len(axes) > 100:
            self.report(("sweep",), "C2F547", f"too many axes: {len(axes)}, at most 100", "remove some axes")
            return
        chosen = [a[0] for a in axes] + seeds[:1]
        for one, other in itertools.combinations(chosen, 2):
            if one.overlaps(other):
                message = f"conflicting axes: `{other.dotted}` and `{one.dotted}` set the same field"
                self.problems.add(
                    other.source.key or other.source.place, "C2F541", message, "remove one of them"
                )

    def pairs(self, axes: list[list[Setting]]) -> list[tuple[Setting, ...]]:
        if len({len(a) for a in axes}) > 1:
            lengths = ", ".join(f"`{a[0].dotted}` has {len(a)}" for a in axes)
            self.report(("sweep", "zip"), "C2F533", f"axes of `zip` must have the same length: {lengths}")
        return list(zip(*axes, strict=False)) if axes else [()]

    def seeds(self) -> list[Setting]:
        values = self.section("seeds", list)
        found, distinct = [], set()
        for i, value in enumerate(values):
            at: Loc = ("sweep", "seeds", i)
            if not isinstance(value, str) or not re.fullmatch("[0-9]{1,10}", value):
                self.report(at, "C2F536", f"a seed must be a whole number, not `{format_value(value)}`")
            elif int(value) in distinct:
                self.report(at, "C2F549", f"duplicate seed `{value}`")
            else:
                distinct.add(int(value))
                note = f"set by `sweep.seeds` at {self.tree.keys['sweep', 'seeds']}"
                found.append(self.setting("seed", at, ("sweep", "seeds"), note))
        return found

    def most(self) -> int:
        value = self.tree.data["sweep"].get("max_variants")
        if value is None:
            return MAX_VARIANTS
        if isinstance(value, str) and re.fullmatch("[0-9]{1,6}", value) and 0 < int(value) <= MOST_VARIANTS:
            return int(value)
        at: Loc = ("sweep", "max_variants")
        self.report(
            at,
            "C2F537",
            f"`max_variants` is out of range: must be from 1 to {MOST_VARIANTS:,}, not `{format_value(value)}`",
        )
        return MAX_VARIANTS

    def maps(self, name: str) -> Iterable[tuple[Loc, dict[str, Any]]]:
        """Yield the maps of a list with their locations, and report other items."""
        for i, value in enumerate(self.section(name, list)):
            at: Loc = ("sweep", name, i)
            if isinstance(value, dict) and value:
                yield at, value
            else:
                self.report(at, "C2F534", f"`{name}` must be a list of maps from paths to values")

    def excluded(self, grid: list[tuple[Setting, ...]]) -> list[tuple[Setting, ...]]:
        """Return `grid` without the combinations of `exclude`, and report entries that match none."""
        axes = [s.dotted for s in grid[0]] if grid else []
        if len(self.section("exclude", list)) * len(grid) > MOST_VARIANTS * 100:
            self.report(
                ("sweep", "exclude"),
                "C2F548",
                "too many combinations for `exclude`",
                "shorten an axis, or use `variants`",
            )
            return grid
        for at, unwanted in self.maps("exclude"):
            unknown = [path for path in unwanted if path not in axes]
            for path in unknown:
                self.problems.add_at_key(
                    self.tree, (*at, path), "C2F544", f"unknown axis `{path}`", suggest(path, axes)
                )
            if unknown:
                continue
            wanted = [(axes.index(path), normalise(value)) for path, value in unwanted.items()]
            kept = [p for p in grid if not all(normalise(p[i].source.value) == v for i, v in wanted)]
            if len(kept) == len(grid):
                self.report(
                    at,
                    "C2F535",
                    "`exclude` has no effect: no combination has these values",
                    "remove the entry",
                )
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
                message = f"invalid name `{format_value(name)}`"
                hint = "use at most 40 lower-case letters, digits and dashes"
                self.problems.add_at_key(self.tree, at, "C2F543", message, hint)
            elif not isinstance(wanted, dict):
                self.report(at, "C2F546", "a variant must be a map from paths to values; `{}` is the base")
            else:
                found.append(Point(self.fields(at, wanted, f"sweep variant `{name}`"), name=name))
        return found

    def fields(self, at: Loc, wanted: dict[str, Any], what: str) -> tuple[Setting, ...]:
        note = f"set by {what} at {self.tree.keys.get(at, self.tree.values[at])}"
        paths = [path for path in wanted if self.is_sweepable(path, (*at, path))]
        return tuple(self.setting(path, (*at, path), (*at, path), note) for path in paths)
