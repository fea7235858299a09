"""Compile spec files to a `Plan`: load, expand, parse, resolve pins, make keys. Executes nothing that a spec contains."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import c2f_spec
from c2f_spec.diagnostics.diagnostic import Diagnostic, SpecErrors, dedupe
from c2f_spec.errors import InvalidSpec
from c2f_spec.files import DISK, enclosing_repository
from c2f_spec.language.document import Document, read_document
from c2f_spec.language.expansion import expand
from c2f_spec.language.parse import ValidatedSections, diagnostic, parse, parse_environment
from c2f_spec.language.suggestions import suggest
from c2f_spec.plan.capabilities import demo_only_problems, unsupported_problems
from c2f_spec.plan.pins import Pins, lock_path, needs, other_image_problems, pinned, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from c2f_spec.diagnostics.diagnostic import Place
    from c2f_spec.files import Files
    from c2f_spec.language.checks import Problem
    from c2f_spec.language.lock_file import Lock
    from c2f_spec.plan.code import SourceTree
    from c2f_spec.plan.model import Plan
    from c2f_spec.plan.pins import Need, Staged
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.plan_json import PlanRequest

PACKAGED = Path(c2f_spec.__file__).parent / "environments"


class Loaded(NamedTuple):
    """A valid variant of a spec, with the document that later messages point into."""

    document: Document
    experiment: Experiment
    warnings: list[Diagnostic]
    root: Path
    """The repository of the spec: relative paths of an environment start here."""
    spec: str
    """Name of the spec, which is the variant's own if there is no sweep."""
    source: str
    """The variant as YAML text; as it was written, if nothing was put together."""
    path: Path
    """The spec file, among `files`."""
    files: Files = DISK


def refuse(loaded: Sequence[Loaded], check: Callable[[Loaded], list[Problem]]) -> None:
    """Raise `SpecErrors` with what `check` finds in any variant, each finding once."""
    found = [(item.experiment.name, [diagnostic(item.document, p) for p in check(item)]) for item in loaded]
    if problems := dedupe(found):
        raise SpecErrors(problems)


def load_variants(
    path: Path, settings: Sequence[str] = (), files: Files = DISK, shown: str = ""
) -> list[Loaded]:
    """Return every variant of a spec, with its `--set` settings; messages name it `shown`, or by its path.

    Raises `InvalidSpec` with the problems of all variants.
    """
    document = read_document(path, shown or str(path), files)
    expansion, root, seen = expand(document, path, settings, files), repository(path), ValidatedSections()
    texts: dict[tuple[str, int], str] = {}
    loaded: list[Loaded] = []
    problems: list[tuple[str, list[Diagnostic]]] = []
    for variant in expansion.variants:
        try:
            experiment, warnings = parse(variant.document, seen)
        except SpecErrors as error:
            problems.append((variant.name, error.diagnostics))
            continue
        problems.append((variant.name, []))
        source = (
            document.text.content if variant.document is document else _variant_text(variant.document, texts)
        )
        loaded.append(
            Loaded(variant.document, experiment, warnings, root, expansion.name, source, path, files)
        )
    if found := dedupe(problems):
        raise SpecErrors(found)
    if len(loaded) > 1:
        from c2f_spec.language.variants import check_ablations

        if found := check_ablations(expansion.variants, [item.experiment for item in loaded]):
            raise SpecErrors(found)
    return loaded


def _variant_text(document: Document, texts: dict[tuple[str, int], str]) -> str:
    """Return a variant as text; `texts` are those of the sections that variants share."""
    from c2f_spec.language.yaml_writer import render_section

    parts = []
    for key, value in document.data.items():
        if not isinstance(value, dict):
            parts.append(render_section(key, value))
            continue
        if (key, id(value)) not in texts:
            texts[key, id(value)] = render_section(key, value)
        parts.append(texts[key, id(value)])
    return "".join(parts)


def warnings_of(loaded: Sequence[Loaded]) -> list[Diagnostic]:
    """Return the warnings of the variants of a spec, each once."""
    return dedupe([(item.experiment.name, item.warnings) for item in loaded])


def notes_of(loaded: Sequence[Loaded]) -> list[Diagnostic]:
    """Return notes on what this version does not run, in any variant: valid, and refused by `apply`."""
    found = [
        (
            item.experiment.name,
            [
                replace(d, message=f"{d.message}; `apply` refuses it", severity="note")
                for d in (diagnostic(item.document, p) for p in unsupported_problems(item.experiment))
            ],
        )
        for item in loaded
    ]
    return dedupe(found)


def repository(path: Path) -> Path:
    """Return the nearest folder above `path` with a `.git`; the current folder if there is none."""
    return enclosing_repository(path) or Path.cwd()


def load_environment(name: str, root: Path, folder: Path | None, files: Files = DISK) -> Environment:
    """Return the environment `name`. Raises `InvalidSpec` if it is missing or invalid."""
    return parse_environment(environment_document(name, root, folder, files))


def environment_document(name: str, root: Path, folder: Path | None, files: Files = DISK) -> Document:
    """Return the file of an environment: of `folder`, else of the repository's `k8s/environments`, else of this package."""
    places = [(p, files) for p in (folder, root / "k8s" / "environments") if p] + [(PACKAGED, DISK)]
    for place, source in places:
        path = place / f"{name}.yaml"
        if source.is_file(path):
            return read_document(path, str(path), source)
    known = sorted({Path(n).stem for place, source in places for n in source.names(place)})
    raise InvalidSpec(f"no environment `{name}`", hint=suggest(name, known), code="C2F421")


def unpinned(loaded: Sequence[Loaded]) -> list[Need]:
    """Return needed names that the lock beside the spec does not pin: only the store can resolve them."""
    found: dict[str, Need] = {}
    for items in _by_spec(loaded).values():
        lock = lock_of(items[0])
        found |= {
            need.name: need
            for item in items
            for need in needs(item.experiment)
            if need.name not in pinned(need.section, lock)
        }
    return list(found.values())


def _by_spec(loaded: Sequence[Loaded]) -> dict[str, list[Loaded]]:
    found: dict[str, list[Loaded]] = {}
    for item in loaded:
        found.setdefault(item.document.text.path, []).append(item)
    return found


def lock_of(loaded: Loaded) -> Lock:
    """Return the lock beside a variant's spec."""
    return nearest_lock(loaded.path, loaded.root, loaded.files)


def nearest_lock(spec: Path, root: Path, files: Files = DISK) -> Lock:
    """Return the content of the lock nearest to a spec. Raises `SpecErrors`."""
    from c2f_spec.language.lock_file import read_lock

    return read_lock(lock_path(spec, root, files), files)


def compile_plan(
    loaded: list[Loaded],
    staged: Staged | None,
    environment: Environment,
    name: str,
    settings: Sequence[str] = (),
    code: SourceTree | None = None,
) -> Plan:
    """Return the plan of several specs in one environment; `staged` has the digests of copies in the store, or is `None`.

    `code` is what stages would run with, if it is not the code of this program.

    Raises `SpecErrors` at the name of what is not pinned (`pins.py`), and at what the environment refuses.
    """
    from c2f_spec.plan.capacity import capacity_problems
    from c2f_spec.plan.code import HERE
    from c2f_spec.plan.costs import with_costs
    from c2f_spec.plan.keys import ExperimentSource, build_plan
    from c2f_spec.plan.model_servers import engine_problems, list_problems, server_problems
    from c2f_spec.plan.placement import placement_problems

    refuse_demo_only(loaded, environment, name)
    refuse(
        loaded,
        lambda i: [
            *placement_problems(i.experiment, environment, name),
            *server_problems(i.experiment, environment, name),
            *engine_problems(i.experiment, environment, name),
            *list_problems(i.experiment, environment, name),
        ],
    )
    refuse(loaded, lambda i: _of_severity(capacity_problems(i.experiment, environment, name), "error"))
    locks = {path: lock_of(items[0]) for path, items in _by_spec(loaded).items()}
    found = _resolve_pins(loaded, locks, staged, environment)
    refuse(loaded, lambda i: other_image_problems(locks[i.document.text.path], environment))
    refuse(loaded, lambda item: _of_severity(found[id(item)][1], "error"))
    accepted = {a.new: a.old for lock in locks.values() for a in lock.accept}
    sources = [
        ExperimentSource(item.experiment, item.source, item.document.text.path, found[id(item)][0])
        for item in loaded
    ]
    specs = list(dict.fromkeys(item.spec for item in loaded))
    plan = build_plan(sources, Pins(accepted=accepted), environment, name, specs, code or HERE)
    carried = _bundle_digest(environment)
    stages = tuple(replace(stage, code=carried) for stage in plan.stages) if carried else plan.stages
    return with_costs(replace(plan, request=_request(loaded, settings), stages=stages))


def _bundle_digest(environment: Environment) -> str:
    """Return the digest of the code bundle that stages of a cluster unpack; empty on this machine."""
    if not environment.ships_code:
        return ""
    from c2f_spec.plan.code import bundle

    return bundle("stage").digest


def _of_severity(found: Iterable[Problem], severity: str) -> list[Problem]:
    return [p for p in found if p.severity == severity]


def _request(loaded: Sequence[Loaded], settings: Sequence[str]) -> PlanRequest:
    """Return the call, with specs by their path from the root of their repository, which other clones have too."""
    from c2f_spec.spec.plan_json import PlanRequest

    files = dict.fromkeys((item.document.text.path, item.root) for item in loaded)
    specs = [Path(os.path.relpath(Path(path).resolve(), root)).as_posix() for path, root in files]
    return PlanRequest(specs=tuple(specs), settings=tuple(settings))


def unpinned_places(loaded: Sequence[Loaded]) -> list[tuple[Need, Place]]:
    """Return the names that the lock of their spec does not pin, each with the places where a spec names it."""
    found: dict[tuple[str, str, int], tuple[Need, Place]] = {}
    for path, items in _by_spec(loaded).items():
        names = {need.name for need in unpinned(items)}
        for item, need in ((i, n) for i in items for n in needs(i.experiment) if n.name in names):
            place = item.document.place(need.loc)
            found.setdefault((need.name, path, place.line), (need, place))
    return list(found.values())


def place_warnings(loaded: list[Loaded], environment: Environment, name: str) -> list[Diagnostic]:
    """Return warnings for stages that hardly fit their GPUs or their pods, each once."""
    from c2f_spec.plan.capacity import capacity_problems

    return warnings(loaded, lambda item: capacity_problems(item.experiment, environment, name))


def warnings(loaded: list[Loaded], check: Callable[[Loaded], Iterable[Problem]]) -> list[Diagnostic]:
    """Return what `check` warns of in any variant, each once."""
    return dedupe(
        [
            (
                item.experiment.name,
                [diagnostic(item.document, p) for p in _of_severity(check(item), "warning")],
            )
            for item in loaded
        ]
    )


def _resolve_pins(
    loaded: Sequence[Loaded], locks: dict[str, Lock], staged: Staged | None, environment: Environment
) -> dict[int, tuple[Pins, list[Problem]]]:
    """Return the pins of each variant by its `id`. Variants that need the same at the same places share them."""
    known: dict[tuple[str, tuple[Need, ...]], tuple[Pins, list[Problem]]] = {}
    found = {}
    for item in loaded:
        path, needed = item.document.text.path, tuple(needs(item.experiment))
        if (path, needed) not in known:
            known[path, needed] = resolve(needed, locks[path], staged, environment)
        found[id(item)] = known[path, needed]
    return found


def store_url(environment: Environment, root: Path) -> str:
    """Return the store of an environment; a relative folder starts at the spec's repository."""
    if environment.on_this_machine and "://" not in environment.store:
        return str(root / environment.store)
    return environment.store


def refuse_demo_only(loaded: Sequence[Loaded], environment: Environment, name: str) -> None:
    """Raise `SpecErrors` at every demo-only part, in an environment that refuses them."""
    refuse(loaded, lambda item: demo_only_problems(item.experiment, environment, name))
