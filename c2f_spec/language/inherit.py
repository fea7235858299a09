"""Resolve `extends:` and `template:`: merge a file and its bases into one tree.

    extends: base.yaml                      or an ordered list: later files are merged over earlier ones
    template: templates/c2f.yaml            one file with `params:`, whose values are in
    with: {train: ch-sims}

A file's own fields are merged over those of its bases. File names are relative to the folder of the file that has
them, and must not leave its repository: a spec under review must not read what is not under review.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problems, SpecErrors
from c2f_spec.errors import InvalidSpec
from c2f_spec.files import enclosing_repository
from c2f_spec.language.document import INHERITANCE_FIELDS, MAX_BYTES, MISSPELLED, read_document
from c2f_spec.language.params import Scope, substitute
from c2f_spec.language.suggestions import suggest
from c2f_spec.language.tree import Source, Tree, merge, tree_from

if TYPE_CHECKING:
    from c2f_spec.diagnostics.diagnostic import Place
    from c2f_spec.files import Files
    from c2f_spec.language.document import Document

MAX_DEPTH = 16
MAX_FILES = 64
VERBS = {"extends": "inherited", "template": "instantiated"}


@dataclass(slots=True)
class Resolved:
    """A file merged with all of its bases."""

    tree: Tree
    scope: Scope
    routes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def resolve(document: Document, path: Path, files: Files) -> Resolved:
    """Return the merged tree of a spec that was read from `path` of `files`. Raises `SpecErrors`."""
    real = files.real(path)
    return _Files(enclosing_repository(path) or real.parent, files).resolve(document, real, {}, None, ())


@dataclass(slots=True)
class _Files:
    """The files that were read for one spec, and their total size in bytes."""

    root: Path
    source: Files
    documents: dict[Path, Document] = field(default_factory=dict)
    size: int = 0
    plain: dict[Path, Resolved] = field(default_factory=dict)
    """Resolved bases without arguments: a file that is inherited by several paths is resolved once."""

    def resolve(
        self,
        document: Document,
        path: Path,
        arguments: dict[str, Source],
        link: Place | None,
        chain: tuple[Path, ...],
    ) -> Resolved:
        """Resolve one file. `link` is the place that names it, `chain` the files that led to it."""
        problems = Problems()
        tree, scope = substitute(tree_from(document), arguments, link, problems)
        for name in tree.data:
            if name in MISSPELLED:
                hint = f"did you mean `{MISSPELLED[name]}`?"
                problems.add_at_key(tree, (name,), "C2F550", f"unknown field `{name}`", hint)
        bases = self._bases(tree, scope, path, chain, problems)
        problems.raise_any()
        resolved = Resolved(Tree({}, dict.fromkeys(((),), tree.values[()]), {}), scope)
        own = tree.copy()
        for name in INHERITANCE_FIELDS:
            own.drop((name,), own.data.pop(name, None))
        for route, base in bases:
            name = base.tree.values[()].text.path
            for far, notes in {name: (), **base.routes}.items():
                resolved.routes.setdefault(far, (*notes, route))
            resolved.tree = merge(resolved.tree, base.tree)
            _inherit_parameters(resolved, base, tree)
        resolved.tree = merge(resolved.tree, own)
        return resolved

    def _bases(
        self, tree: Tree, scope: Scope, path: Path, chain: tuple[Path, ...], problems: Problems
    ) -> list[tuple[str, Resolved]]:
        template, extends = tree.data.get("template"), tree.data.get("extends")
        arguments = _arguments(tree, scope, problems)
        if template is not None and extends is not None:
            hint = "remove one of them: the file in `extends` may use the template"
            message = "`template` and `extends` cannot be combined in one file"
            problems.add_at_key(tree, ("template",), "C2F506", message, hint)
            return []
        field_name = "extends" if template is None else "template"
        value = tree.data.get(field_name)
        names = value if isinstance(value, list) and field_name == "extends" else [value]
        if value is None:
            return []
        if not names or not all(isinstance(name, str) for name in names):
            expected = "a file name or a list of file names" if field_name == "extends" else "a file name"
            problems.add(tree.values[field_name,], "C2F501", f"`{field_name}` must be {expected}")
            return []
        if len(names) > MAX_FILES:
            message = f"too many files in `extends`: at most {MAX_FILES} are allowed"
            problems.add(tree.values["extends",], "C2F510", message, "merge some of the files")
            return []
        bases = []
        for i, name in enumerate(names):
            place = tree.values[(field_name, i) if isinstance(value, list) else (field_name,)]
            if name in names[:i]:
                problems.add(place, "C2F507", f"duplicate file `{name}`", "remove one of them")
                continue
            route = f"{VERBS[field_name]} by {place.text.path}:{place.line}"
            base = self._base(name, place, route, (*chain, path), arguments, problems)
            if base is not None:
                bases.append((route, base))
        return bases

    def _base(
        self,
        name: str,
        place: Place,
        route: str,
        chain: tuple[Path, ...],
        arguments: dict[str, Source],
        problems: Problems,
    ) -> Resolved | None:
        path = self._inside(name, place, chain, problems)
        if path is None:
            return None
        if not arguments and path in self.plain:
            return self.plain[path]
        try:
            document = self._read(path, os.path.normpath(Path(place.text.path).parent / name), place)
            base = self.resolve(document, path, arguments, place, chain)
        except SpecErrors as error:
            problems.diagnostics += [
                d if d.place.text is place.text else replace(d, notes=(*d.notes, route))
                for d in error.diagnostics
            ]
            return None
        if not arguments:
            self.plain[path] = base
        return base

    def _inside(self, name: str, place: Place, chain: tuple[Path, ...], problems: Problems) -> Path | None:
        """Return the absolute path of a base, or report why it may not be read and return `None`."""
        if "\0" in name:
            problems.add(place, "C2F502", "invalid file name")
            return None
        if Path(name).is_absolute():
            problems.add(
                place,
                "C2F503",
                f"absolute path `{name}` is not allowed",
                "write it relative to the folder of the spec",
            )
            return None
        path = self.source.real(chain[-1].parent / name)
        if not path.is_relative_to(self.root):
            hint = "copy it into the repository, where it is reviewed"
            problems.add(place, "C2F503", f"`{name}` is outside of the repository", hint)
        elif path in chain:
            circle = " -> ".join(p.name for p in (*chain[chain.index(path) :], path))
            problems.add(place, "C2F504", f"circular inheritance: {circle}", "remove one of these references")
        elif len(chain) > MAX_DEPTH:
            message = f"inheritance is too deep: more than {MAX_DEPTH} files"
            problems.add(place, "C2F505", message, "merge some of the files")
        elif not self.source.is_file(path):
            hint = suggest(path.name, self.source.names(path.parent))
            problems.add(place, "C2F502", f"file `{name}` not found", hint)
        else:
            return path
        return None

    def _read(self, path: Path, name: str, place: Place) -> Document:
        if path not in self.documents:
            self.size += self.source.size(path)
            if self.size > MAX_BYTES or len(self.documents) >= MAX_FILES:
                message = f"too many or too large files: at most {MAX_FILES} files and {MAX_BYTES:,} bytes are allowed"
                Problems().fail(place, "C2F509", message, "merge some of the files")
            try:
                self.documents[path] = read_document(path, name, self.source)
            except SpecErrors:
                raise
            except InvalidSpec as error:
                Problems().fail(place, "C2F508", error.message, error.hint)
        return self.documents[path]


def _arguments(tree: Tree, scope: Scope, problems: Problems) -> dict[str, Source]:
    """Return the values of `with`, by parameter."""
    arguments = tree.data.get("with")
    if arguments is None:
        return {}
    if tree.data.get("template") is None:
        message = "`with` has no effect without `template`"
        problems.add_at_key(tree, ("with",), "C2F520", message, "add `template`, or remove `with`")
        return {}
    if not isinstance(arguments, dict):
        problems.add(tree.values["with",], "C2F520", "`with` must be a map from parameters to values")
        return {}
    sources = {}
    for name in arguments:
        at = ("with", name)
        used = tree.uses.get(at)
        if used is not None and used.name in scope.missing:
            continue  # passes on a parameter that has no value yet
        sources[name] = Source(tree, at, tree.origins.get(at, ()), tree.keys[at])
    return sources


def _inherit_parameters(resolved: Resolved, base: Resolved, tree: Tree) -> None:
    """Keep the parameters of a base open to sweeps and `--set`, unless the file declares one of the same name.

    A parameter of the base that gets its value from one of the file by `with` is replaced by that one.
    """
    known = base.scope.parameters
    passed = {known[str(loc[1])]: p for loc, p in tree.uses.items() if loc[0] == "with" and loc[1] in known}
    if passed:
        uses = resolved.tree.uses
        resolved.tree.uses = {loc: passed.get(p, p) for loc, p in uses.items()}
    own = resolved.scope
    for name, parameter in base.scope.parameters.items():
        own.parameters.setdefault(name, parameter)
        if name in base.scope.missing and parameter not in passed:
            own.missing.setdefault(name, base.scope.missing[name])
