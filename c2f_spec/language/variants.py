"""Expand a spec that uses the language into its variants, and check ablations.

Variants share the sections that they do not change. The settings of a point are grouped by section, and a section with
the same settings is built once: a matrix of ten by ten learning rates has ten sections `sft` and ten `grpo`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from c2f_spec.diagnostics.diagnostic import Diagnostic, Problems
from c2f_spec.keys import flatten
from c2f_spec.language.document import Document, Expansion, Variant, spec_name
from c2f_spec.language.inherit import resolve
from c2f_spec.language.overrides import apply_setting, find_targets, parse_settings, report_list
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
    """Return the variants of a spec that uses the language or has arguments of `--set`. Raises `SpecErrors`."""
    overrides, resolved, problems = parse_settings(arguments), resolve(document, path, files), Problems()
    tree, scope = resolved.tree, resolved.scope
    for setting in overrides:
        apply_setting(tree, setting, scope, problems)
    problems.raise_any()
    chosen = points(tree, problems) if tree.data.get("sweep") is not None else []
    _check_collisions(overrides, chosen, problems)
    known = {s.path[1] for s in overrides if s.path[0] == "params"}
    for name, missing in scope.missing.items():
        swept = chosen and all(any(s.path == ("params", name) for s in p.settings) for p in chosen)
        if name not in known and not swept:
            problems.diagnostics.append(missing)
    problems.raise_any()
    base = tree.copy()  # the settings of the sweep refer to the places of `tree`
    base.drop(("sweep",), base.data.pop("sweep", None))
    name = spec_name(base.data)
    if not chosen:
        return Expansion(name, (Variant(name, _document(base, document, resolved)),))
    return Expansion(name, _Sweep(base, resolved, document, problems).variants(chosen))


def _check_collisions(overrides: list[Setting], chosen: list[Point], problems: Problems) -> None:
    """Report fields that both `--set` and the sweep set: one would have no effect, or variants would be equal."""
    swept = {id(s): s for p in chosen for s in p.settings}
    for setting in overrides:
        other = next((s for s in swept.values() if s.overlaps(setting)), None)
        if other is not None:
            place = setting.source.key or setting.source.place
            message = f"`{setting.dotted}` conflicts with the sweep, which sets `{other.dotted}`"
            hint = "remove it, or disable the sweep with `--set sweep=null`"
            problems.add(place, "C2F523", message, hint)


def _document(tree: Tree, document: Document, resolved: Resolved) -> Document:
    return Document(document.text, tree.data, tree.values, tree.keys, tree.origins, resolved.routes)


class _Sweep:
    """Build the variants of one sweep."""

    def __init__(self, base: Tree, resolved: Resolved, document: Document, problems: Problems) -> None:
        self.base, self.resolved, self.document, self.problems = base, resolved, document, problems
        self.parts = _split(self.base)
        self.built: dict[tuple[str, tuple[int, ...]], Tree] = {}
        self.targets: dict[int, list[tuple[Loc, Source]]] = {}

    def variants(self, chosen: list[Point]) -> tuple[Variant, ...]:
        trees = [self.tree(point) for point in chosen]
        self.problems.raise_any()
        names = variant_names(chosen, [spec_name(tree.data) for tree in trees])
        self.check_names(names, chosen)
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
        """Return the base with the settings of a point; sections that were built before are shared."""
        sections: dict[str, list[tuple[Loc, Source]]] = {}
        for setting in point.settings:
            if id(setting) not in self.targets:
                found = find_targets(self.base, setting, self.resolved.scope, self.problems)
                self.targets[id(setting)] = found
            for target in self.targets[id(setting)]:
                sections.setdefault(str(target[0][0]), []).append(target)
        tree = self.base.copy()
        for section, targets in sections.items():
            old, new = self.parts.get(section), self.section(section, targets)
            if old is not None:
                tree.drop((section,), old.data[section])
            tree.data |= new.data
            tree.values |= new.values
            tree.keys |= new.keys
            tree.origins |= new.origins
        return tree

    def section(self, section: str, targets: list[tuple[Loc, Source]]) -> Tree:
        key = (section, tuple(id(source) for _, source in targets))
        if key not in self.built:
            tree = self.parts[section].copy() if section in self.parts else Tree({}, {}, {})
            for loc, source in targets:
                list_loc = put(tree, loc, source)
                if list_loc is not None:
                    report_list(list_loc, source, self.problems)
            self.built[key] = tree
        return self.built[key]

    def check_names(self, names: list[str], chosen: list[Point]) -> None:
        """Raise `SpecErrors` for variants with the same name."""
        first: dict[str, Point] = {}
        for name, point in zip(names, chosen, strict=True):
            other = first.setdefault(name, point)
            if other is not point:
                loc: Loc = ("sweep",)
                place = self.document.place(loc, key=True)
                if point.settings:
                    source = point.settings[-1].source
                    place = source.key or source.place
                message = f"duplicate variant name `{name}`: {_describe(other)}; and {_describe(point)}"
                hint = "name them under `sweep.variants`, or remove one of them"
                self.problems.add(place, "C2F540", message, hint)
        self.problems.raise_any()


def _describe(point: Point) -> str:
    return ", ".join(f"{s.dotted}={format_value(s.source.value)}" for s in point.settings) or "the base"


def _split(tree: Tree) -> dict[str, Tree]:
    """Return each section as a separate tree."""
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


def check_ablations(variants: Sequence[Variant], experiments: Sequence[Experiment]) -> list[Diagnostic]:
    """Return a diagnostic for each ablation that differs from the base not in its factor, or not in its factor alone.

    The validated experiments are compared, where defaults and short forms are resolved: a value that is written
    differently and means the same is no ablation.
    """
    pairs = list(zip(variants, experiments, strict=True))
    bases = {e.seed: e for v, e in pairs if v.factor == ()}
    if not bases:
        return []
    first = next(iter(bases.values()))
    return [
        d for v, e in pairs if v.factor for d in _check_ablation(v, e, bases.get(e.seed, first), v.factor)
    ]


def _check_ablation(
    variant: Variant, experiment: Experiment, base: Experiment, factor: tuple[Loc, ...]
) -> list[Diagnostic]:
    changed = _changed(experiment, base)
    named = {path for path in changed if any(_within(path, loc) for loc in factor)}
    document = variant.document
    place, notes = document.place(factor[0]), document.notes(factor[0])
    others = sorted(set(changed) - named)
    if others:
        message = f"ablation `{variant.name}` also differs from the base in {', '.join(f'`{p}`' for p in others[:3])}"
        hint = "change one factor per ablation, or use `sweep.variants`"
        return [Diagnostic("C2F552", place, message, hint, notes=notes)]
    if not named:
        message = f"ablation `{variant.name}` does not differ from the base"
        return [Diagnostic("C2F551", place, message, "change the value, or remove it", notes=notes)]
    return []


def _within(path: str, loc: Loc) -> bool:
    prefix = ".".join(map(str, loc))
    return path == prefix or path.startswith(f"{prefix}.") or prefix.startswith(f"{path}.")


def _changed(one: Experiment, other: Experiment) -> list[str]:
    """Return the dotted paths of leaves that differ, without the name, which differs always."""
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
