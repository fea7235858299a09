"""`diff` and `equivalent`: what a change of specs means, told in stages.

c2f-spec diff a.yaml b.yaml             two files
c2f-spec diff main..HEAD -- specs/      two revisions; with `...` from where they parted, as git does
c2f-spec diff main -- specs/            a revision and the files here
c2f-spec diff a.yaml                    the spec and what ran of it
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.diff_output import as_table, neither
from c2f_spec.diff import sides
from c2f_spec.diff.compare import Difference, compare
from c2f_spec.diff.compare import equivalent as are_equivalent
from c2f_spec.diff.git import Repository
from c2f_spec.diff.sides import Side, place_of, side
from c2f_spec.errors import C2fError, Exit, UsageError, sanitize
from c2f_spec.files import DISK
from c2f_spec.plan.compile import load_environment, load_variants, repository, store_url
from c2f_spec.plan.plan_file import from_json
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace


SUFFIXES = (".yaml", ".yml")
DEFAULT = "specs"
"""What is compared of two revisions, if nothing is named."""


def diff(args: Namespace) -> int:
    """Exit 2 with `--detailed-exitcode` if stages would run again."""
    found = difference(args)
    if args.output == "table":
        from c2f_spec.cli.diff_output import as_table

        as_table(found)
    elif args.output == "json":
        from c2f_spec.cli.diff_output import as_json

        print(as_json(found))
    else:
        from c2f_spec.cli.diff_output import as_markdown

        print(as_markdown(found), end="")
    return Exit.CHANGES if args.detailed_exitcode and found.rerun else Exit.OK


def difference(args: Namespace) -> Difference:
    """Raises `UsageError` if it is not clear what is to be compared with what."""
    what, environments = args.what, Path(args.environments) if args.environments else None
    if ".." not in what[0] and _is_spec(what[0]):
        if len(what) == 2 and _is_spec(what[1]):
            return compare(*sides.of_files(Path(what[0]), Path(what[1]), args.on, environments))
        if len(what) == 1:
            return compare(*of_what_ran(what[0], args.on, environments))
        raise UsageError(
            "`diff` takes one spec, two specs, or revisions", hint="for example main..HEAD -- specs/"
        )
    old, dots, new = what[0].partition("...") if "..." in what[0] else what[0].partition("..")
    paths = what[1:] or [DEFAULT]
    with Repository(repository(Path.cwd() / "specs")) as repo:
        if dots == "...":
            old = repo.merge_base(old or "HEAD", new or "HEAD")
        before = _revision(repo, old or "HEAD", args.on, environments)
        if dots:
            after = _revision(repo, new or "HEAD", args.on, environments)
        else:
            after = sides.place_of(DISK, "the files here", repo.root, args.on, environments)
        return compare(*_sides(before, after, paths))


def _sides(before: sides.Place, after: sides.Place, paths: list[str]) -> tuple[sides.Side, sides.Side]:
    mine, theirs = sides.specs_in(before, paths), sides.specs_in(after, paths)
    if not mine and not theirs:
        raise UsageError(f"no specs in {', '.join(paths)}", hint="name files or folders behind `--`")
    touched = sides.affected(before, after, {*mine, *theirs})
    old = sides.side(before, mine)
    same = sides.Side(old.name)
    same.plans = {f: p for f, p in old.plans.items() if f not in touched}
    same.broken = {f: p for f, p in old.broken.items() if f not in touched}
    return old, sides.side(after, theirs, same)


def _revision(repo: Repository, name: str, on: str | None, environments: Path | None) -> sides.Place:
    revision = repo.revision(name)
    shown = name if revision.commit.startswith(name) else f"{name} ({revision.commit[:7]})"
    return sides.place_of(revision, shown[:60], repo.root, on, environments)


def _is_spec(word: str) -> bool:
    return word.endswith(SUFFIXES)


# `equivalent`: does a change of specs change no stage? The proof that a refactoring of specs is one.


def equivalent(args: Namespace) -> int:
    """Exit 4 if some variant has other stages."""
    found = difference(args)
    if not are_equivalent(found):
        as_table(found)
        print("not equivalent")
        return Exit.DIFFERENCE
    variants = sum(s.compared for s in found.specs)
    names = f", {variants} variants with other fields or names" if variants else ""
    print(sanitize(f"equivalent: {found.old} and {found.new} have the same stages{names}{neither(found)}"))
    return Exit.OK


# A spec and what ran of it: the newest plan in the store that has its variants.


MOST_PLANS = 200
"""So many plans are looked into, newest first."""


def of_what_ran(spec: str, on: str | None, environments: Path | None) -> tuple[Side, Side]:
    """Raises `UsageError` if nothing of the spec ran in the store of its environment."""
    root = repository(Path(spec))
    place = place_of(DISK, spec, Path(os.path.realpath(root)), on, environments)
    name = os.path.relpath(os.path.realpath(spec), place.root)
    new = side(place, [name])
    if name in new.broken:
        load_variants(Path(spec))  # raises with every problem at its place
    names = {v.name for v in new.plans[name].variants}
    environment = load_environment(new.plans[name].environment_name, root, environments)
    objects = open_store(store_url(environment, root))
    listed = sorted(objects.listing("plans"), key=lambda item: item.modified, reverse=True)
    for item in listed[:MOST_PLANS]:
        try:
            plan = from_json(objects.read(item.name) or b"", item.name)
        except C2fError:
            continue  # of another version
        if names & {v.name for v in plan.variants}:
            return Side(f"what ran (plan {plan.digest[:10]})", {name: plan}), new
    raise UsageError(f"nothing of {spec} ran in {objects.url}", hint="`plan` shows what would run")
