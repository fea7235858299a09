"""Merge documents value by value, so that every value keeps the place where it was written.

A `Tree` is a document that is being merged. `merge` and `put` change it; a `Source` is a value to put, and a
`Parameter` a typed value of a template.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from c2f_spec.language.suggestions import format_value, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from c2f_spec.diagnostics.diagnostic import Loc, Place, Problems
    from c2f_spec.language.document import Document


Notes = tuple[str, ...]

DISCRIMINATOR_OF: dict[str | int, str] = {"forced_loss": "mode"}
"""Discriminators of fields that do not have `kind`."""


@dataclass(slots=True)
class Tree:
    """A document that is being merged: data, places and origins that the functions below change."""

    data: dict[str, Any]
    values: dict[Loc, Place] = field(repr=False)
    keys: dict[Loc, Place] = field(repr=False)
    origins: dict[Loc, Notes] = field(default_factory=dict, repr=False)
    uses: dict[Loc, Parameter] = field(default_factory=dict, repr=False)
    """The parameter that gave the value of a location."""

    def copy(self) -> Tree:
        """Return a copy that the functions below can change without changing this tree."""
        return Tree(dict(self.data), dict(self.values), dict(self.keys), dict(self.origins), dict(self.uses))

    def drop(self, loc: Loc, value: Any) -> None:
        """Drop places and origins of `loc` and all locations below it; `value` is the value there."""
        for inner in locations(value, loc):
            self.values.pop(inner, None)
            self.keys.pop(inner, None)
            self.origins.pop(inner, None)
            self.uses.pop(inner, None)


@dataclass(frozen=True, slots=True)
class Source:
    """A value to be put into a tree: the tree it comes from, its location there, and notes on its origin."""

    tree: Tree | Document
    at: Loc
    notes: Notes = ()
    key: Place | None = None
    """The place of the path to which it is assigned."""
    uses: Parameter | None = None

    @property
    def value(self) -> Any:
        value: Any = self.tree.data
        for part in self.at:
            value = value[part]
        return value

    @property
    def place(self) -> Place:
        return self.tree.values[self.at]


def tree_from(document: Document) -> Tree:
    return Tree(document.data, document.values, document.keys)


def locations(value: Any, loc: Loc = ()) -> Iterator[Loc]:
    """Yield `loc` and every location below it."""
    yield loc
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from locations(inner, (*loc, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from locations(inner, (*loc, i))


def merge(base: Tree, over: Tree) -> Tree:
    """Return `over` merged over `base`: maps merge, lists and scalars replace."""
    merged = base.copy()
    merged.values[()] = over.values[()]
    for key in over.data:
        _merge_value(merged, merged.data, key, (), Source(over, (key,)))
    return merged


def put(tree: Tree, path: Loc, source: Source) -> Loc | None:
    """Merge a value into `tree` at `path`, in place; missing maps on the way are created.

    Returns the location of a list on the way, and changes nothing then: items of a list have no names.
    """
    node: Any = tree.data
    for depth, part in enumerate(path[:-1], start=1):
        loc, inside = path[:depth], _child(node, part)
        if isinstance(inside, list):
            if not isinstance(path[depth], int):
                return loc
            node[part] = list(inside)
        else:
            if inside is None:
                tree.values[loc] = source.key or source.place
                tree.keys.setdefault(loc, tree.values[loc])
            node[part] = _as_map(tree, inside, loc)
        node = node[part]
    _merge_value(tree, node, path[-1], path[:-1], source)
    return None


def _child(node: Any, part: str | int) -> Any:
    return node.get(part) if isinstance(node, dict) else node[part]


def _as_map(tree: Tree, value: Any, loc: Loc) -> dict[str, Any]:
    """Return `value` as a new map. In the schema `x: word` is short for `x: {kind: word}`."""
    by = DISCRIMINATOR_OF.get(loc[-1], "kind")
    if isinstance(value, dict):
        return dict(value)
    tree.uses.pop(loc, None)
    if value is None:
        return {}
    tree.values[*loc, by] = tree.values[loc]
    tree.keys[*loc, by] = tree.keys[loc]
    return {by: value}


def _merge_value(tree: Tree, node: Any, part: str | int, above: Loc, source: Source) -> None:
    old, new, loc = _child(node, part), source.value, (*above, part)
    if isinstance(new, dict) and _can_merge(old, new, DISCRIMINATOR_OF.get(part, "kind")):
        inside = node[part] = _as_map(tree, old, loc)
        tree.values[loc] = source.place
        tree.keys[loc] = source.key or source.tree.keys[source.at]
        tree.origins.pop(loc, None)
        for key in new:
            inner = Source(source.tree, (*source.at, key), source.notes, uses=source.uses)
            _merge_value(tree, inside, key, loc, inner)
        return
    notes = source.notes
    if notes and loc in tree.values:
        notes = (*notes, f"replaces {tree.values[loc]}")
    tree.drop(loc, old)
    node[part] = new
    for inner_loc in locations(new):
        _copy_place(tree, (*loc, *inner_loc), source, inner_loc, notes)
    if source.key is not None:
        tree.keys[loc] = source.key


def _can_merge(old: Any, new: dict[str, Any], by: str) -> bool:
    """Return whether two values are of one kind; a map of another `kind` replaces, because its fields differ."""
    if isinstance(old, str):
        return bool(new.get(by, old) == old)
    return isinstance(old, dict) and (by not in new or new[by] == old.get(by))


def _copy_place(tree: Tree, loc: Loc, source: Source, inner: Loc, notes: Notes) -> None:
    origin, at = source.tree, (*source.at, *inner)
    tree.values[loc] = origin.values[at]
    if at in origin.keys:
        tree.keys[loc] = origin.keys[at]
    if notes := (*origin.origins.get(at, ()), *notes):
        tree.origins[loc] = notes
    used = source.uses or (origin.uses.get(at) if isinstance(origin, Tree) else None)
    if used is not None:
        tree.uses[loc] = used


Kind = Literal["int", "float", "str", "bool", "choice"]
KIND_NOUNS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A declared parameter. Its place is that of its key in the template."""

    name: str
    kind: Kind
    place: Place
    default: Source | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, argument: Source, problems: Problems) -> None:
        """Report a value that has another kind, or is out of range."""
        value, notes = (
            argument.value,
            (*argument.notes, f"parameter `{self.name}` is declared at {self.place}"),
        )
        if self.kind == "choice":
            if value not in self.choices:
                hint = suggest(str(value), self.choices)
                message = f"invalid value `{format_value(value)}` of parameter `{self.name}`"
                problems.add(argument.place, "C2F518", message, hint, notes)
            return
        if not is_of_kind(self.kind, value):
            message = f"parameter `{self.name}` must be {KIND_NOUNS[self.kind]}, not `{format_value(value)}`"
            problems.add(argument.place, "C2F517", message, "", notes)
        elif self.kind in ("int", "float"):
            for bound, words, wrong in ((self.low, "at least", -1), (self.high, "at most", 1)):
                if bound is not None and (float(value) - bound) * wrong > 0:
                    message = f"parameter `{self.name}` is out of range: must be {words} {bound:g}, not {format_value(value)}"
                    problems.add(argument.place, "C2F518", message, "", notes)


def is_of_kind(kind: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if kind == "str":
        return True
    if kind == "bool":
        return value.lower() in ("true", "false", "yes", "no", "on", "off")
    if kind == "int":
        return re.fullmatch(r"[-+]?[0-9]{1,18}", value) is not None
    try:
        return len(value) <= 40 and math.isfinite(float(value))
    except ValueError:
        return False
