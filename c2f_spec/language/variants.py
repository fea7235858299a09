"""A spec that uses the language → its variants.

Variants share what they do not change. The settings of a point are sorted by the section that they change, and a section
with the same settings is made once: a matrix of ten by ten learning rates has ten sections `sft` and ten `grpo`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import Diagnostic, Problems
from c2f_spec.keys import flatten
from c2f_spec.language.document import Document, Expansion, Variant, spec_name
from c2f_spec.language.inherit import resolve
from c2f_spec.language.overrides import apply_setting, find_targets, parse_settings, refuse_list
from c2f_spec.language.suggestions import format_value
from c2f_spec.language.sweep import Point, points
from c2f_spec.language.tree import Source, Tree, put
from c2f_spec.language.variant_names import variant_names
from c2f_spec.spec.base import SpecModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from c2f_spec.diagnostics.diagnostic import Loc
    from c2f_spec.files import Files
    from c2f_spec.language.inherit import Resolved
    from c2f_spec.language.overrides import Setting
    from c2f_spec.spec.experiment import Experiment


def expand_variants(document: Document, path: Path, arguments: Sequence[str], files: Files) -> Expansion:
    """The variants of a spec that uses the language, or is given `--set`. Raises `SpecErrors`."""
    given, resolved, problems = parse_settings(arguments), resolve(document, path, files), Problems()
    tree, scope = resolved.tree, resolved.scope
    for setting in given:
        apply_setting(tree, setting, scope, problems)
    problems.raise_any()
    chosen = points(tree, problems) if tree.data.get("sweep") is not None else []
    _refuse_collisions(given, chosen, problems)
    known = {s.path[1] for s in given if s.path[0] == "params"}
    for name, complaint in scope.missing.items():
        swept = chosen and all(any(s.path == ("params", name) for s in p.settings) for p in chosen)
        if name not in known and not swept:
            problems.diagnostics.append(complaint)
    problems.raise_any()
    base = tree.copy()  # the settings of the sweep still stand in the tree
    base.drop(("sweep",), base.data.pop("sweep", None))
    name = spec_name(base.data)
    if not chosen:
        return Expansion(name, (Variant(name, _document(base, document, resolved)),))
    return Expansion(name, _Sweep(base, resolved, document, problems).variants(chosen))


def _refuse_collisions(given: list[Setting], chosen: list[Point], problems: Problems) -> None:
    """What `--set` sets and the sweep sets again would have no effect, or make variants equal."""
    swept = {id(s): s for p in chosen for s in p.settings}
    for setting in given:
        met = next((s for s in swept.values() if s.overlaps(setting)), None)
        if met is not None:
            place = setting.source.key or setting.source.place
            message = f"`{setting.dotted}`: the sweep sets `{met.dotted}`"
            hint = "leave it out, or drop the sweep with `--set sweep=null`"
            problems.add(place, "C2F523", message, hint)


def _document(tree: Tree, document: Document, resolved: Resolved) -> Document:
    return Document(document.text, tree.data, tree.values, tree.keys, tree.origins, resolved.routes)


class _Sweep:
    """Makes the variants of one sweep."""

    def __init__(self, base: Tree, resolved: Resolved, document: Document, problems: Problems) -> None:
        self.base, self.resolved, self.document, self.problems = base, resolved, document, problems
        self.parts = _split(self.base)
        self.made: dict[tuple[str, tuple[int, ...]], Tree] = {}
        self.targets: dict[int, list[tuple[Loc, Source]]] = {}

    def variants(self, chosen: list[Point]) -> tuple[Variant, ...]:
        trees = [self.tree(point) for point in chosen]
        self.problems.raise_any()
        names = variant_names(chosen, [spec_name(tree.data) for tree in trees])
        self.refuse_equal(names, chosen)
        return tuple(map(self.variant, names, chosen, trees))

    def variant(self, name: str, point: Point, tree: Tree) -> Variant:
        if "name" in tree.data:
            tree.data["name"] = name
        differs = tuple((s.dotted, format_value(s.source.value)) for s in point.settings)
        factor = None
        if point.factor is not None:
            factor = tuple(loc for loc, _ in self.targets[id(point.factor)])
        elif point.name == "base" and len(point.settings) == (point.seed is not None):
            factor = ()
        return Variant(name, _document(tree, self.document, self.resolved), differs, factor)

    def tree(self, point: Point) -> Tree:
        """The base with the settings of a point, sharing every section that was made before."""
        sections: dict[str, list[tuple[Loc, Source]]] = {}
        for setting in point.settings:
            if id(setting) not in self.targets:
                found = find_targets(self.base, setting, self.resolved.scope, self.problems)
                self.targets[id(setting)] = found
            for target in self.targets[id(setting)]:
                sections.setdefault(str(target[0][0]), []).append(target)
        made = self.base.copy()
        for section, targets in sections.items():
            old, new = self.parts.get(section), self.section(section, targets)
            if old is not None:
                made.drop((section,), old.data[section])
            made.data |= new.data
            made.values |= new.values
            made.keys |= new.keys
            made.origins |= new.origins
        return made

    def section(self, section: str, targets: list[tuple[Loc, Source]]) -> Tree:
        key = (section, tuple(id(source) for _, source in targets))
        if key not in self.made:
            made = self.parts[section].copy() if section in self.parts else Tree({}, {}, {})
            for loc, source in targets:
                where = put(made, loc, source)
                if where is not None:
                    refuse_list(where, source, self.problems)
            self.made[key] = made
        return self.made[key]

    def refuse_equal(self, names: list[str], chosen: list[Point]) -> None:
        """Raises `SpecErrors` at variants whose labels give the same name."""
        first: dict[str, Point] = {}
        for name, point in zip(names, chosen, strict=True):
            other = first.setdefault(name, point)
            if other is not point:
                loc: Loc = ("sweep",)
                place = self.document.place(loc, key=True)
                if point.settings:
                    source = point.settings[-1].source
                    place = source.key or source.place
                message = f"two variants would be named `{name}`: {_told(other)}; and {_told(point)}"
                hint = "name them under `sweep.variants`, or remove one"
                self.problems.add(place, "C2F540", message, hint)
        self.problems.raise_any()


def _told(point: Point) -> str:
    return ", ".join(f"{s.dotted}={format_value(s.source.value)}" for s in point.settings) or "the base"


def _split(tree: Tree) -> dict[str, Tree]:
    """Each section of a tree as a tree of its own."""
    parts = {key: Tree({key: value}, {}, {}) for key, value in tree.data.items()}
    for loc, place in tree.values.items():
        if loc:
            part = parts[str(loc[0])]
            part.values[loc] = place
            if loc in tree.keys:
                part.keys[loc] = tree.keys[loc]
            if loc in tree.origins:
                part.origins[loc] = tree.origins[loc]
    return parts


# Whether an ablation is one: it differs from the base in its factor, and in nothing else.
#
# Asked of the validated experiments, because that is where defaults, short forms and what follows from a field are
# resolved: a value that is written differently and means the same is no ablation.


def check_ablations(variants: Sequence[Variant], experiments: Sequence[Experiment]) -> list[Diagnostic]:
    """What is wrong with the ablations among `variants`."""
    pairs = list(zip(variants, experiments, strict=True))
    bases = {e.seed: e for v, e in pairs if v.factor == ()}
    if not bases:
        return []
    first = next(iter(bases.values()))
    return [d for v, e in pairs if v.factor for d in _judged(v, e, bases.get(e.seed, first), v.factor)]


def _judged(
    variant: Variant, experiment: Experiment, base: Experiment, factor: tuple[Loc, ...]
) -> list[Diagnostic]:
    changed = _changed(experiment, base)
    named = {path for path in changed if any(_within(path, loc) for loc in factor)}
    document = variant.document
    place, notes = document.place(factor[0]), document.notes(factor[0])
    others = sorted(set(changed) - named)
    if others:
        message = f"`{variant.name}` also differs from the base in {', '.join(f'`{p}`' for p in others[:3])}"
        hint = "an ablation changes one factor; say the rest under `sweep.variants`"
        return [Diagnostic("C2F552", place, message, hint, notes=notes)]
    if not named:
        message = f"`{variant.name}` does not differ from the base"
        return [Diagnostic("C2F551", place, message, "give another value, or remove it", notes=notes)]
    return []


def _within(path: str, loc: Loc) -> bool:
    prefix = ".".join(map(str, loc))
    return path == prefix or path.startswith(f"{prefix}.") or prefix.startswith(f"{path}.")


def _changed(one: Experiment, other: Experiment) -> list[str]:
    """Dotted paths of leaves that differ, but for the name, which every variant has of its own."""
    paths: list[str] = []
    for name in type(one).model_fields:
        a, b = getattr(one, name), getattr(other, name)
        if name == "name" or a is b or a == b:
            continue
        mine, theirs = _leaves(name, a), _leaves(name, b)
        paths += [p for p in {**mine, **theirs} if mine.get(p) != theirs.get(p)]
    return paths


def _leaves(name: str, value: Any) -> dict[str, Any]:
    return flatten(value.model_dump() if isinstance(value, SpecModel) else value, name)
