"""What specs, locks and reports still need of a store: the keys of stages, and copies of data sets and models.

Specs are compiled as they stand here and on every branch, read out of git: what a colleague's branch reuses is not
garbage because it is not merged. Keys do not depend on the place, so all are compiled as for this machine. A store may
serve several repositories: a saved plan that was launched from a commit which this one does not have is another's, and
all that it needs is reached.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.diff.git import Repository
from c2f_spec.diff.sides import Place, place_of, specs_in
from c2f_spec.errors import C2fError
from c2f_spec.files import DISK
from c2f_spec.language.lock_file import UNPINNED, read_lock
from c2f_spec.plan.compile import compile_plan, load_variants, unpinned
from c2f_spec.plan.pins import staged_copies
from c2f_spec.report import references
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.store.gc import Reachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from c2f_spec.plan.pins import Staged
    from c2f_spec.store.protocol import ObjectStore

ANYWHERE = LocalEnvironment(c2f="v1", kind="local", store=".", demo=True)
PARAMS = re.compile(rb"^params:", re.MULTILINE)
"""A template is no spec."""


class Found(NamedTuple):
    """What is reached, and specs of which that cannot be said."""

    reached: Reachable
    broken: dict[str, str]
    """Specs here that do not compile, with the reason: what they would reach is not known."""
    elsewhere: int
    """Specs of other branches that do not compile."""
    foreign: int
    """Plans of other repositories."""
    undescribed: dict[str, bool]
    """Folders of reports that have no readable `report.json`, each with whether a saved plan has its name."""


def found(objects: ObjectStore, root: Path, specs: Sequence[str], keep: Sequence[str]) -> Found:
    """`specs` are files here; if none is named, those of `specs/` on every branch."""
    stages: dict[str, dict[str, object]] = {}
    copies: set[str] = set()
    broken: dict[str, str] = {}
    elsewhere = 0
    with Repository(root) as repo:
        here = place_of(DISK, "", repo.root, None, None)
        for name in specs_in(here, specs or [str(repo.root / "specs")]):
            _add(stages, broken, here, name, objects)
        for commit in [] if specs else repo.heads():
            place = place_of(repo.revision(commit), commit[:7], repo.root, None, None)
            failed: dict[str, str] = {}
            for name in specs_in(place, [str(repo.root / "specs")]):
                _add(stages, failed, place, name, objects)
            elsewhere += len(failed)
            copies |= set(_pinned(place))
        copies |= set(_pinned(here))
        reports = _reports(objects)
        undescribed = {folder for folder, report in reports.items() if report is None}
        saved, unknown, foreign = _saved(objects, repo, undescribed)
    for plan in (*saved, *(json.loads(Path(p).read_bytes()) for p in keep)):
        stages |= {s["key"]: s["preimage"] for s in plan["stages"]}
    copies |= {name for preimage in stages.values() for name in references.copies(preimage)}
    keys = set(stages)
    for report in filter(None, reports.values()):
        keys |= report.stages
        copies |= report.copies
    undescribed_plans = {folder: folder not in unknown for folder in sorted(undescribed)}
    return Found(Reachable(frozenset(keys), frozenset(copies)), broken, elsewhere, foreign, undescribed_plans)


def _add(
    stages: dict[str, dict[str, object]],
    broken: dict[str, str],
    place: Place,
    name: str,
    objects: ObjectStore,
) -> None:
    """The stages of one spec of a place, or why there are none."""
    path = place.root / name
    try:
        loaded = load_variants(path, (), place.files, name)
        copies = staged_copies(objects, unpinned(loaded))
        plans = [compile_plan(loaded, staged, ANYWHERE, "here", code=place.code) for staged in _each(copies)]
    except C2fError as error:
        if not PARAMS.search(place.files.read(path, 1_000_000)):
            broken[name] = str(error).splitlines()[0]
        return
    stages |= {s.key: s.preimage for plan in plans for s in plan.stages}


def _each(copies: Staged) -> Iterator[Staged]:
    """Names without a pin may have meant any of their staged copies; one that has none was never run here."""
    for i in range(max([len(c) for c in copies.values()] or [1]) or 1):
        yield {name: [(c or [UNPINNED])[min(i, len(c) - 1)]] for name, c in copies.items()}


def _pinned(place: Place) -> Iterator[str]:
    """Copies that the lock of a place names."""
    lock = read_lock(place.root / "specs" / "c2f.lock", place.files)
    yield from (f"datasets/{name}/{digest}" for name, digest in lock.datasets.items())
    yield from (f"models/{name.replace('@', '/')}/{digest}" for name, digest in lock.models.items())


def _reports(objects: ObjectStore) -> dict[str, references.References | None]:
    """Return folder → what the report in it refers to, or `None` where the report has no readable `report.json`."""
    names = [
        n
        for n in objects.names("reports")
        if n.endswith((f"/{references.FILE}", "/report.html", "/report.md"))
    ]
    folders = dict.fromkeys(name.rsplit("/", 1)[0] for name in names)
    data = objects.read_many(f"{folder}/{references.FILE}" for folder in folders)
    return {f: references.from_json(data.get(f"{f}/{references.FILE}", b"")) for f in folders}


def _saved(
    objects: ObjectStore, repo: Repository, undescribed: Collection[str]
) -> tuple[list[dict[str, Any]], set[str], int]:
    """Return the saved plans to keep, the undescribed reports that none of them has the name of, and how many are foreign.

    A plan is kept if it was launched from a commit that this repository does not have (it is foreign), or if it has the
    name of a report that does not say which stages it shows.
    """
    kept, unknown, foreign, commits = [], set(undescribed), 0, {}
    for name in objects.names("plans"):
        data = objects.read(name) if name.endswith("/plan.json") else None
        if data is None:
            continue
        plan = json.loads(data)
        commit = (plan.get("origin") or {}).get("commit")
        if commit and commit not in commits:
            commits[commit] = repo.knows(commit)
        is_foreign = bool(commit) and not commits[commit]
        folder = f"reports/{plan['name'].replace(' ', '-')}"
        foreign += is_foreign
        unknown.discard(folder)
        if is_foreign or folder in undescribed:
            kept.append(plan)
    return kept, unknown, foreign
