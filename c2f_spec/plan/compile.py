"""Spec files → `Plan`: load, parse, resolve pins, build. Executes nothing that a spec contains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import c2f_spec
from c2f_spec.document import Document, read
from c2f_spec.errors import Diagnostic, SpecErrors, SpecInvalid
from c2f_spec.parse.checks import Problem
from c2f_spec.parse.experiment import parse, parse_environment
from c2f_spec.parse.messages import suggest
from c2f_spec.spec import support
from c2f_spec.spec.datasets import DATASETS

if TYPE_CHECKING:
    from c2f_spec.lock import Lock
    from c2f_spec.plan.model import Plan
    from c2f_spec.spec.environment import Environment
    from c2f_spec.spec.experiment import Experiment

PACKAGED = Path(c2f_spec.__file__).parent / "environments"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid spec, with the text that later messages point into."""

    document: Document
    experiment: Experiment
    warnings: list[Diagnostic]
    root: Path
    """The repository of the spec: relative paths of an environment start here."""

    def refuse(self, problems: list[Problem]) -> None:
        """Raises `SpecErrors` if there are problems."""
        if problems:
            place = self.document.place
            raise SpecErrors([Diagnostic(p.code, place(p.loc), p.message, p.hint) for p in problems])


def load_spec(path: Path) -> Loaded:
    """Raises `SpecInvalid`."""
    document = read(path, str(path))
    experiment, warnings = parse(document)
    return Loaded(document, experiment, warnings, repository(path))


def repository(path: Path) -> Path:
    """The nearest folder above `path` with a `.git`; the current folder if there is none."""
    folders = path.resolve().parents
    return next((f for f in folders if (f / ".git").exists()), Path.cwd())


def load_environment(name: str, root: Path, folder: Path | None) -> Environment:
    """Look in `folder`, then in the repository's `k8s/environments`, then among those that come with us."""
    places = [p for p in (folder, root / "k8s" / "environments", PACKAGED) if p is not None]
    for place in places:
        path = place / f"{name}.yaml"
        if path.is_file():
            return parse_environment(read(path, str(path)))
    known = sorted({p.stem for place in places if place.is_dir() for p in place.glob("*.yaml")})
    raise SpecInvalid(f"no environment `{name}`", hint=suggest(name, known), code="C2F421")


def needed_datasets(experiment: Experiment) -> list[str]:
    """Every data set that a plan of `experiment` prepares."""
    evaluated = experiment.evaluate.datasets if experiment.evaluate else ()
    return list(dict.fromkeys((experiment.data.train, *evaluated)))


def lock_of(loaded: Loaded) -> Lock:
    """`c2f.lock` beside the spec."""
    from c2f_spec.lock import read_lock

    return read_lock(Path(loaded.document.text.path).parent / "c2f.lock")


def compile_plan(
    loaded: list[Loaded], staged: dict[str, list[str]], environment: Environment, name: str
) -> Plan:
    """The plan of several specs in one environment; `staged` are the digests of the copies in the store.

    Raises `SpecErrors` at the name of a data set that is not pinned, and at what the environment refuses.
    """
    from c2f_spec.plan.build import Given, Pins, build  # `validate` builds no plan

    datasets: dict[str, str] = {}
    for item in loaded:
        refuse_demo_only(item, environment, name)
        item.refuse(_pin(item, staged, environment, datasets))
    sources = [Given(item.experiment, item.document.text.content) for item in loaded]
    return build(sources, Pins(datasets), environment, name)


def _pin(
    item: Loaded, staged: dict[str, list[str]], environment: Environment, datasets: dict[str, str]
) -> list[Problem]:
    """Fill `datasets` from the lock, or on this machine from the one staged copy; what could not be, as problems."""
    lock, problems = lock_of(item), []
    for dataset in needed_datasets(item.experiment):
        copies = staged.get(dataset, [])
        loc = _place_of(item.experiment, dataset)
        source = "--fetch" if DATASETS[dataset].rendered else "--from DIR"
        how = f"c2f-spec data add {dataset} {source}"
        if dataset in lock.datasets:
            datasets[dataset] = lock.datasets[dataset]
        elif environment.kind != "local":
            message = f"data set `{dataset}` is not pinned in c2f.lock, as a cluster needs"
            problems.append(Problem("C2F411", loc, message, f"stage and pin it: {how}"))
        elif len(copies) == 1:
            datasets[dataset] = copies[0]
        elif not copies:
            problems.append(
                Problem("C2F412", loc, f"data set `{dataset}` is not in the store", f"stage it: {how}")
            )
        else:
            message = (
                f"the store has {len(copies)} copies of `{dataset}`: {', '.join(c[:10] for c in copies)}"
            )
            hint = f"pin one of them in c2f.lock, under `datasets`: `{dataset}: <digest>`"
            problems.append(Problem("C2F413", loc, message, hint))
    return problems


def _place_of(experiment: Experiment, dataset: str) -> tuple[str | int, ...]:
    if dataset == experiment.data.train or experiment.evaluate is None:
        return ("data", "train")
    return ("evaluate", "datasets", experiment.evaluate.datasets.index(dataset))


def store_url(environment: Environment, root: Path) -> str:
    """The store of an environment; a relative folder starts at the spec's repository."""
    if environment.kind == "local" and "://" not in environment.store:
        return str(root / environment.store)
    return environment.store


def refuse_demo_only(loaded: Loaded, environment: Environment, name: str) -> None:
    """Raises `SpecErrors` at every demo-only part, in an environment that does not take them."""
    loaded.refuse(_demo_only(loaded.experiment, environment, name))


def _demo_only(experiment: Experiment, environment: Environment, name: str) -> list[Problem]:
    """What is for demonstrations, in an environment that is not."""
    if environment.demo:
        return []
    found = [
        (_place_of(experiment, d), f"data set `{d}`")
        for d in needed_datasets(experiment)
        if DATASETS[d].rendered
    ]
    if experiment.student.kind in support.DEMO_STUDENTS:
        found.append((("student",), f"student `{experiment.student.kind}`"))
    if experiment.teacher and experiment.teacher.kind in support.DEMO_TEACHERS:
        found.append((("teacher",), f"teacher `{experiment.teacher.kind}`"))
    hint = f"run it with `--on local`, or say `demo: true` in the environment `{name}`"
    words = f"is for demonstrations, which the environment `{name}` refuses"
    return [Problem("C2F414", loc, f"{what} {words}", hint) for loc, what in found]


def not_implemented(experiment: Experiment) -> list[Problem]:
    """Parts of a spec that this version's runtime cannot run (`c2f_spec/spec/support.py`)."""
    found = [
        (_place_of(experiment, dataset), f"data set `{dataset}`")
        for dataset in needed_datasets(experiment)
        if DATASETS[dataset].reader not in support.READERS
    ]
    if experiment.student.kind not in support.STUDENTS:
        found.append((("student",), f"student kind `{experiment.student.kind}`"))
    if experiment.teacher and experiment.teacher.kind not in support.TEACHERS:
        found.append((("teacher",), f"teacher kind `{experiment.teacher.kind}`"))
    for section in ("sft", "grpo"):
        part = getattr(experiment, section)
        if part is not None and part.tuner.kind not in support.TUNERS:
            found.append(((section, "tuner"), f"tuner `{part.tuner.kind}`"))
    hint = "this version validates and plans it; the README says what runs"
    return [Problem("C2F415", loc, f"{what} is not run by this version", hint) for loc, what in found]
