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
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.store.gc import Reachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from c2f_spec.plan.pins import Staged
    from c2f_spec.store.protocol import ObjectStore

ANYWHERE = LocalEnvironment(c2f="v1", kind="local", store=".", demo=True)
FOOTER = re.compile(r"Plan ([0-9a-f]{16}) in the environment")
"""What a report says of the plan that it is of (`report/markdown.py`)."""
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
        saved, foreign = _saved(objects, repo)
    for plan in (*saved, *(json.loads(Path(p).read_bytes()) for p in keep)):
        stages |= {s["key"]: s["preimage"] for s in plan["stages"]}
    copies |= {name for preimage in stages.values() for name in _copies(preimage)}
    return Found(Reachable(frozenset(stages), frozenset(copies)), broken, elsewhere, foreign)


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


def _copies(preimage: dict[str, object]) -> Iterator[str]:
    """Copies that a stage reads."""
    data, models = preimage.get("data"), preimage.get("models")
    if isinstance(data, dict):
        yield f"datasets/{data['name']}/{data['digest']}"
    if isinstance(models, dict):
        yield from (f"models/{name.replace('@', '/')}/{digest}" for name, digest in models.items())


def _saved(objects: ObjectStore, repo: Repository) -> tuple[list[dict[str, Any]], int]:
    """Plans in the store that reports are of, or other repositories; and how many are another's."""
    pages = objects.read_many(n for n in objects.names("reports") if n.endswith("/report.md"))
    told = {digest for text in pages.values() for digest in FOOTER.findall(text.decode("utf-8", "replace"))}
    kept, foreign, known = [], 0, {}
    for name in objects.names("plans"):
        data = objects.read(name) if name.endswith("/plan.json") else None
        if data is None:
            continue
        plan = json.loads(data)
        commit = (plan.get("origin") or {}).get("commit")
        if commit and commit not in known:
            known[commit] = repo.knows(commit)
        if commit and not known[commit]:
            foreign += 1
        if name.split("/")[1][:16] in told or (commit and not known[commit]):
            kept.append(plan)
    return kept, foreign
