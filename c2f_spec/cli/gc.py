"""`gc`: list what no spec, lock or report needs, with its size; remove it only with `--delete`, after it was listed.

`--delete` works in two phases. The first call marks what is garbage now; a call that comes `--days` later removes what
was marked and is garbage still, so that a branch that was pushed meanwhile, or a spec that came back, keeps its stages.

Specs are compiled as they are here and on every branch, read from git: what a colleague's branch reuses is not garbage
because it is not merged. Keys do not depend on the place, so all are compiled as for this machine. A store may serve
several repositories: a saved plan that was launched from a commit that this one does not have belongs to another, and
all that it needs stays.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from c2f_spec.cli.output import note, print_table
from c2f_spec.cli.workspace import open_checkout
from c2f_spec.diff.git import Repository
from c2f_spec.diff.sides import Place, place_of, specs_in
from c2f_spec.errors import C2fError, Exit, InvalidSpec, sanitize
from c2f_spec.files import DISK
from c2f_spec.language.lock_file import UNPINNED, read_lock
from c2f_spec.plan.compile import compile_plan, load_variants, unpinned
from c2f_spec.plan.pins import staged_copies
from c2f_spec.report import outputs
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.store.gc import Garbage, Reachable, find_garbage, remove

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection, Iterator, Sequence

    from c2f_spec.plan.pins import Staged
    from c2f_spec.store.protocol import ObjectStore

DAY = 86_400.0
MARKS = "gc"
"""Prefix of marks: `gc/<milliseconds since the epoch>.json`."""
ANYWHERE = LocalEnvironment(c2f="v1", kind="local", store=".", demo=True)
PARAMS = re.compile(rb"^params:", re.MULTILINE)
"""The section that makes a file a template, which does not compile by itself."""


def gc(args: Namespace) -> int:
    """Raise `InvalidSpec` instead of removing anything while it is not known what some spec or report needs."""
    checkout = open_checkout(args)
    needs = find_needs(checkout.store, checkout.root, args.specs, args.keep)
    items = find_garbage(checkout.store, needs.reachable)
    _print_items(items, args.output)
    for name, why in needs.broken.items():
        note(f"warning: {name} does not compile, so what it needs is not known: {why}")
    if needs.foreign:
        note(f"{needs.foreign} plans of other repositories are in this store; what they need stays")
    if needs.elsewhere:
        note(f"warning: {needs.elsewhere} specs of other branches do not compile, and keep nothing")
    for folder, has_plan in needs.undescribed.items():
        effect = "the stages of saved plans with its name stay" if has_plan else "its stages are not known"
        note(f"warning: {folder} has no readable report.json: {effect}")
    if not args.delete:
        if items:
            note("nothing is removed; --delete marks it, and removes it when it is garbage still")
        return Exit.OK
    if needs.broken:
        raise InvalidSpec(
            "nothing is removed while a spec here does not compile", hint="correct it, or name other specs"
        )
    if unknown := [folder for folder, has_plan in needs.undescribed.items() if not has_plan]:
        raise InvalidSpec(
            f"nothing is removed while the stages of {', '.join(unknown)} are not known",
            hint="run `c2f-spec report` again for its spec, or remove the folder from the store",
        )
    _delete(checkout.store, items, now=args.yes, days=args.days)
    return Exit.OK


def _print_items(items: list[Garbage], form: str) -> None:
    total = sum(item.size for item in items)
    if form == "json":
        rows = [{"name": i.name, "why": i.reason, "objects": len(i.names), "bytes": i.size} for i in items]
        print(json.dumps({"format_version": 1, "bytes": total, "items": rows}, indent=1))
    elif form == "name":
        print("\n".join(sanitize(name) for item in items for name in item.names))
    elif not items:
        print("no garbage")
    else:
        cells = [(_format_size(i.size), f"{len(i.names):,}", i.name, i.reason) for i in items]
        print_table(("SIZE", "OBJECTS", "WHAT", "WHY"), cells)
        print(f"{_format_size(total)} in {sum(len(i.names) for i in items):,} objects")


def _format_size(size: float) -> str:
    """Return `1.5 GB`: thousands, as storage is billed."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = 0
    while size >= 1000 and power < len(units) - 1:
        size, power = size / 1000, power + 1
    return f"{size:,.{1 if power else 0}f} {units[power]}"


def _delete(store: ObjectStore, items: list[Garbage], *, now: bool, days: float) -> None:
    """Remove what was marked long enough ago, or all of it `now`, and mark the rest."""
    marked = {i.name for i in items} if now else _marked_since(store, time.time() - days * DAY)
    removable = [item for item in items if item.name in marked]
    for item in removable:
        remove(store, item)
        note(f"removed {item.name}")
    size = sum(item.size for item in removable)
    note(f"{len(removable):,} of {len(items):,} removed, {_format_size(size)}")
    left = {item.name for item in items} - {item.name for item in removable}
    if left:
        text = json.dumps({"items": sorted(left)}, indent=1).encode()
        store.create(f"{MARKS}/{time.time_ns() // 1_000_000}.json", text)
        note(f"{len(left):,} are marked; call this again in {days:g} days, or with --yes")
    if removable:
        for name in list(store.names(MARKS)):
            if _mark_time(name) < time.time() - 2 * max(days, 1) * DAY:
                store.delete(name)


def _marked_since(store: ObjectStore, before: float) -> set[str]:
    """Return names that were garbage at some time before `before`, and are in every mark since."""
    marks = sorted(store.names(MARKS), key=_mark_time)
    items = {n: set(json.loads(data)["items"]) for n, data in store.read_many(marks).items()}
    marked: set[str] = set()
    for first in (n for n in marks if _mark_time(n) <= before):
        since = [items[n] for n in marks if _mark_time(n) >= _mark_time(first) and n in items]
        marked |= set.intersection(*since) if since else set()
    return marked


def _mark_time(mark: str) -> float:
    """Return seconds since the epoch."""
    return int(mark.rsplit("/", 1)[1].removesuffix(".json")) / 1000


class Needs(NamedTuple):
    """The stages that specs, locks and reports need, and the specs for which this is unknown."""

    reachable: Reachable
    broken: dict[str, str]
    """Specs here that do not compile, with the reason: what they need is not known."""
    elsewhere: int
    """Specs of other branches that do not compile."""
    foreign: int
    """Plans of other repositories."""
    undescribed: dict[str, bool]
    """Folders of reports that have no readable `report.json`, each with whether a saved plan has its name."""


def find_needs(store: ObjectStore, root: Path, specs: Sequence[str], keep: Sequence[str]) -> Needs:
    """Return what is needed by `specs`, files here, or by those of `specs/` on every branch if none is named.

    `keep` are files of saved plans, whose stages are needed too.
    """
    stages: dict[str, dict[str, object]] = {}
    copies: set[str] = set()
    broken: dict[str, str] = {}
    elsewhere = 0
    with Repository(root) as repo:
        here = place_of(DISK, "", repo.root, None, None)
        for name in specs_in(here, specs or [str(repo.root / "specs")]):
            _add_stages(stages, broken, here, name, store)
        for commit in [] if specs else repo.heads():
            place = place_of(repo.revision(commit), commit[:7], repo.root, None, None)
            failed: dict[str, str] = {}
            for name in specs_in(place, [str(repo.root / "specs")]):
                _add_stages(stages, failed, place, name, store)
            elsewhere += len(failed)
            copies |= set(_pinned_copies(place))
        copies |= set(_pinned_copies(here))
        reports = _read_references(store)
        undescribed = {folder for folder, report in reports.items() if report is None}
        saved, unknown, foreign = _saved_plans(store, repo, undescribed)
    for plan in (*saved, *(json.loads(Path(p).read_bytes()) for p in keep)):
        stages |= {s["key"]: s["preimage"] for s in plan["stages"]}
    copies |= {name for preimage in stages.values() for name in outputs.copies_read(preimage)}
    keys = set(stages)
    for report in filter(None, reports.values()):
        keys |= report.stages
        copies |= report.copies
    described = {folder: folder not in unknown for folder in sorted(undescribed)}
    return Needs(Reachable(frozenset(keys), frozenset(copies)), broken, elsewhere, foreign, described)


def _add_stages(
    stages: dict[str, dict[str, object]],
    broken: dict[str, str],
    place: Place,
    name: str,
    store: ObjectStore,
) -> None:
    """Add the stages of one spec of a place to `stages`, or the reason why it has none to `broken`."""
    path = place.root / name
    try:
        loaded = load_variants(path, (), place.files, name)
        copies = staged_copies(store, unpinned(loaded))
        plans = [
            compile_plan(loaded, staged, ANYWHERE, "here", code=place.code) for staged in _choices(copies)
        ]
    except C2fError as error:
        if not PARAMS.search(place.files.read(path, 1_000_000)):
            broken[name] = str(error).splitlines()[0]
        return
    stages |= {s.key: s.preimage for plan in plans for s in plan.stages}


def _choices(copies: Staged) -> Iterator[Staged]:
    """Yield each staged copy of names without a pin: any may have been meant. A name without a copy was never used here."""
    for i in range(max([len(c) for c in copies.values()] or [1]) or 1):
        yield {name: [(c or [UNPINNED])[min(i, len(c) - 1)]] for name, c in copies.items()}


def _pinned_copies(place: Place) -> Iterator[str]:
    """Yield the copies that the lock of a place names."""
    lock = read_lock(place.root / "specs" / "c2f.lock", place.files)
    yield from (f"datasets/{name}/{digest}" for name, digest in lock.datasets.items())
    yield from (f"models/{name.replace('@', '/')}/{digest}" for name, digest in lock.models.items())


def _read_references(store: ObjectStore) -> dict[str, outputs.References | None]:
    """Return by folder what the report in it refers to, or `None` where it has no readable `report.json`."""
    files = (outputs.REFERENCES_FILE, "report.html", "report.md")
    folders = dict.fromkeys(
        name.rpartition("/")[0] for name in store.names("reports") if name.rpartition("/")[2] in files
    )
    data = store.read_many(f"{folder}/{outputs.REFERENCES_FILE}" for folder in folders)
    return {f: outputs.parse_references(data.get(f"{f}/{outputs.REFERENCES_FILE}", b"")) for f in folders}


def _saved_plans(
    store: ObjectStore, repo: Repository, undescribed: Collection[str]
) -> tuple[list[dict[str, Any]], set[str], int]:
    """Return the saved plans to keep, the undescribed reports that none of them has the name of, and how many are foreign.

    A plan is kept if it was launched from a commit that this repository does not have (it is foreign), or if it has the
    name of a report that does not say which stages it shows.
    """
    plans, unknown, foreign, commits = [], set(undescribed), 0, {}
    for name in store.names("plans"):
        data = store.read(name) if name.endswith("/plan.json") else None
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
            plans.append(plan)
    return plans, unknown, foreign
