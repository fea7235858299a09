"""Parse and apply `--set path=value`. The value is YAML of one line: a scalar, `[a, b]` or `{a: b}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Place, Problems, SpecErrors, Text
from c2f_spec.language.document import INHERITANCE_FIELDS, load_value
from c2f_spec.language.suggestions import suggest
from c2f_spec.language.tree import Source, Tree, put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from c2f_spec.diagnostics.diagnostic import Loc
    from c2f_spec.language.params import Scope

MAX_PARTS = 20


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and the path to which it is assigned."""

    path: tuple[str, ...]
    source: Source

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    def overlaps(self, other: Setting) -> bool:
        """Return whether one of the two settings would change what the other has set."""
        shorter = min(len(self.path), len(other.path))
        return self.path[:shorter] == other.path[:shorter]


def parse_settings(arguments: Sequence[str]) -> list[Setting]:
    """Return the settings of the arguments of `--set`. Raises `SpecErrors`."""
    problems, found = Problems(), []
    for i, argument in enumerate(arguments, start=1):
        text = Text(f"--set #{i}", argument)
        path, equals, value = argument.partition("=")
        place = Place(text, 1, 1, max(1, len(path)))
        if not equals or not value.strip():
            message = "missing value" if equals else "missing `=`"
            problems.add(place, "C2F521", message, "write `path.of.field=value`; `null` removes a section")
        elif not is_path(path):
            problems.add(place, "C2F521", f"invalid path `{path}`", "write `path.of.field=value`")
        elif path.split(".")[0] in INHERITANCE_FIELDS:
            hint = "set parameters of a template as `params.name=value`"
            problems.add(place, "C2F521", f"`{path}` cannot be set: it is read before `--set`", hint)
        else:
            try:
                document = load_value(text, len(path) + 1)
            except SpecErrors as error:
                problems.diagnostics += error.diagnostics
                continue
            note = f"set by --set #{i}"
            found.append(Setting(tuple(path.split(".")), Source(document, (), (note,), place)))
    problems.raise_any()
    return found


def is_path(path: str) -> bool:
    parts = path.split(".")
    return 0 < len(parts) <= MAX_PARTS and all(part and part == part.strip() for part in parts)


def apply_setting(tree: Tree, setting: Setting, scope: Scope, problems: Problems) -> None:
    """Apply a setting to the tree, in place. A path `params.x` is every location that the parameter gave a value."""
    for target, source in find_targets(tree, setting, scope, problems):
        where = put(tree, target, source)
        if where is not None:
            report_list(where, source, problems)


def report_list(where: Loc, source: Source, problems: Problems) -> None:
    name = ".".join(map(str, where))
    place = source.key or source.place
    problems.add(
        place, "C2F522", f"cannot set an item of the list `{name}`", f"set the whole list: `{name}: [...]`"
    )


def find_targets(tree: Tree, setting: Setting, scope: Scope, problems: Problems) -> list[tuple[Loc, Source]]:
    """Return the locations that a setting changes, with the value for each."""
    source = setting.source
    if setting.path[0] != "params":
        return [(setting.path, source)]
    name = ".".join(setting.path[1:])
    parameter = scope.parameters.get(name)
    place = source.key or source.place
    if parameter is None:
        problems.add(place, "C2F528", f"unknown parameter `{name}`", suggest(name, scope.parameters))
        return []
    parameter.check(source, problems)
    found = [loc for loc, used in tree.uses.items() if used is parameter]
    if not found:
        message = f"parameter `{name}` has no effect: every field that it sets is overridden"
        hint = f"set the fields that refer to it in {parameter.place.text.path}"
        problems.add(place, "C2F529", message, hint)
    targets: list[tuple[Loc, Source]] = []
    for loc in found:
        notes = (*source.notes, f"sets parameter `{name}`, declared at {parameter.place}")
        key = tree.keys.get(loc)
        targets.append((loc, Source(source.tree, source.at, notes, key, parameter)))
    return targets
