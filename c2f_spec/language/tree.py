"""`params:` and `${params.x}`: typed values that a template is given.

    params:
      train: {kind: choice, choices: [ch-sims, cmu-mosi], description: what is trained on}
      beta: {kind: float, default: 0.1, min: 0}

A parameter is replaced where `${params.x}` is the whole scalar, anywhere in the file that declares it and as often as it
is wanted. It never builds text: a value that is put together from pieces has no place that a message could point to.
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
"""Fields whose members are told apart by another field than `kind`."""


@dataclass(slots=True)
class Tree:
    """A document in the making."""

    data: dict[str, Any]
    values: dict[Loc, Place] = field(repr=False)
    keys: dict[Loc, Place] = field(repr=False)
    origins: dict[Loc, Notes] = field(default_factory=dict, repr=False)
    uses: dict[Loc, Parameter] = field(default_factory=dict, repr=False)
    """Which parameter gave the value of a location."""

    def copy(self) -> Tree:
        """A tree that can be changed by the functions below without changing this one."""
        return Tree(dict(self.data), dict(self.values), dict(self.keys), dict(self.origins), dict(self.uses))

    def drop(self, loc: Loc, value: Any) -> None:
        """Drop what is known of `loc` and everything below it; `value` stands there."""
        for inner in locations(value, loc):
            self.values.pop(inner, None)
            self.keys.pop(inner, None)
            self.origins.pop(inner, None)
            self.uses.pop(inner, None)


@dataclass(frozen=True, slots=True)
class Source:
    """A value to be put somewhere: the tree in which it stands, where, and notes on how it travels."""

    tree: Tree | Document
    at: Loc
    notes: Notes = ()
    key: Place | None = None
    """The place of the path that it is put at."""
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
    """`loc` and every location below it."""
    yield loc
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from locations(inner, (*loc, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from locations(inner, (*loc, i))


def merge(base: Tree, over: Tree) -> Tree:
    """`over` laid on `base`."""
    merged = base.copy()
    merged.values[()] = over.values[()]
    for key in over.data:
        _lay(merged, merged.data, key, (), Source(over, (key,)))
    return merged


def put(tree: Tree, path: Loc, source: Source) -> Loc | None:
    """Lay a value at `path` of `tree`, in place; maps that are missing on the way are made.

    Returns the location of a list, whose items have no names to put anything at; then nothing was put.
    """
    node: Any = tree.data
    for depth, part in enumerate(path[:-1], start=1):
        here, inside = path[:depth], _at(node, part)
        if isinstance(inside, list):
            if not isinstance(path[depth], int):
                return here
            node[part] = list(inside)
        else:
            if inside is None:
                tree.values[here] = source.key or source.place
                tree.keys.setdefault(here, tree.values[here])
            node[part] = _opened(tree, inside, here)
        node = node[part]
    _lay(tree, node, path[-1], path[:-1], source)
    return None


def _at(node: Any, part: str | int) -> Any:
    return node.get(part) if isinstance(node, dict) else node[part]


def _opened(tree: Tree, value: Any, loc: Loc) -> dict[str, Any]:
    """`value` as a map of its own. `x: word` is short for `x: {kind: word}`, all over the schema."""
    by = DISCRIMINATOR_OF.get(loc[-1], "kind")
    if isinstance(value, dict):
        return dict(value)
    tree.uses.pop(loc, None)
    if value is None:
        return {}
    tree.values[*loc, by] = tree.values[loc]
    tree.keys[*loc, by] = tree.keys[loc]
    return {by: value}


def _lay(tree: Tree, node: Any, part: str | int, above: Loc, source: Source) -> None:
    old, new, loc = _at(node, part), source.value, (*above, part)
    if isinstance(new, dict) and _merges(old, new, DISCRIMINATOR_OF.get(part, "kind")):
        inside = node[part] = _opened(tree, old, loc)
        tree.values[loc] = source.place
        tree.keys[loc] = source.key or source.tree.keys[source.at]
        tree.origins.pop(loc, None)
        for key in new:
            inner = Source(source.tree, (*source.at, key), source.notes, uses=source.uses)
            _lay(tree, inside, key, loc, inner)
        return
    notes = source.notes
    if notes and loc in tree.values:
        notes = (*notes, f"in place of {tree.values[loc]}")
    tree.drop(loc, old)
    node[part] = new
    for inner_loc in locations(new):
        _place(tree, (*loc, *inner_loc), source, inner_loc, notes)
    if source.key is not None:
        tree.keys[loc] = source.key


def _merges(old: Any, new: dict[str, Any], by: str) -> bool:
    """Fields of one kind mean nothing in another, so a map that names another `kind` replaces."""
    if isinstance(old, str):
        return bool(new.get(by, old) == old)
    return isinstance(old, dict) and (by not in new or new[by] == old.get(by))


def _place(tree: Tree, loc: Loc, source: Source, inner: Loc, notes: Notes) -> None:
    there, at = source.tree, (*source.at, *inner)
    tree.values[loc] = there.values[at]
    if at in there.keys:
        tree.keys[loc] = there.keys[at]
    if told := (*there.origins.get(at, ()), *notes):
        tree.origins[loc] = told
    used = source.uses or (there.uses.get(at) if isinstance(there, Tree) else None)
    if used is not None:
        tree.uses[loc] = used


Kind = Literal["int", "float", "str", "bool", "choice"]
KIND_NOUNS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A declared parameter. Its place is its key in the template."""

    name: str
    kind: Kind
    place: Place
    default: Source | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, given: Source, problems: Problems) -> None:
        """The value has the kind, and lies within the bounds."""
        value, notes = given.value, (*given.notes, f"parameter `{self.name}` is declared at {self.place}")
        if self.kind == "choice":
            if value not in self.choices:
                hint = suggest(str(value), self.choices)
                message = f"`{self.name}` cannot be `{format_value(value)}`"
                problems.add(given.place, "C2F518", message, hint, notes)
            return
        if not _is(self.kind, value):
            message = f"`{self.name}` must be {KIND_NOUNS[self.kind]}, not `{format_value(value)}`"
            problems.add(given.place, "C2F517", message, "", notes)
        elif self.kind in ("int", "float"):
            for bound, words, wrong in ((self.low, "at least", -1), (self.high, "at most", 1)):
                if bound is not None and (float(value) - bound) * wrong > 0:
                    message = f"`{self.name}` must be {words} {bound:g}, not {format_value(value)}"
                    problems.add(given.place, "C2F518", message, "", notes)


def _is(kind: str, value: Any) -> bool:
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
