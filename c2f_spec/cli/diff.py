"""`diff`: compare two specs or revisions in fields, stages and GPU-hours.

c2f-spec diff a.yaml b.yaml             two files
c2f-spec diff main..HEAD -- specs/      two revisions; with `...` since they parted, as git does
c2f-spec diff main -- specs/            a revision and the working tree
c2f-spec diff a.yaml                    the spec and the newest plan of it that was run
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import diff_output
from c2f_spec.diff import sides
from c2f_spec.diff.compare import Difference, compare, equivalent
from c2f_spec.diff.git import Repository
from c2f_spec.errors import C2fError, Exit, UsageError, sanitize
from c2f_spec.files import DISK
from c2f_spec.plan.compile import load_environment, load_variants, repository, store_url
from c2f_spec.plan.plan_file import from_json
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace

SUFFIXES = (".yaml", ".yml")
DEFAULT_FOLDER = "specs"
"""The folder that is compared in two revisions, if none is named."""
MOST_STORED_PLANS = 200
"""Stored plans that are read to find the newest of a spec."""


def diff(args: Namespace) -> int:
    """Exit 4 with `--equivalent` if a stage changes, 2 with `--detailed-exitcode` if stages would run again."""
    difference = find_difference(args)
    if args.equivalent:
        return _print_equivalence(difference)
    if args.output == "table":
        diff_output.print_difference(difference)
    elif args.output == "json":
        print(diff_output.as_json(difference))
    else:
        print(diff_output.as_markdown(difference), end="")
    return Exit.CHANGES if args.detailed_exitcode and difference.rerun else Exit.OK


def _print_equivalence(difference: Difference) -> int:
    if not equivalent(difference):
        diff_output.print_difference(difference)
        print("not equivalent")
        return Exit.DIFFERENCE
    variants = sum(s.compared for s in difference.specs)
    names = f", {variants} variants with other fields or names" if variants else ""
    invalid = diff_output.describe_invalid(difference)
    sides_ = f"{difference.old} and {difference.new}"
    print(sanitize(f"equivalent: {sides_} have the same stages{names}{invalid}"))
    return Exit.OK


def find_difference(args: Namespace) -> Difference:
    """Compare what `args.what` names. Raise `UsageError` if it is not clear what is to be compared."""
    what, environments = args.what, args.environments
    if ".." not in what[0] and what[0].endswith(SUFFIXES):
        if len(what) == 2 and what[1].endswith(SUFFIXES):
            return compare(*sides.sides_of_files(Path(what[0]), Path(what[1]), args.on, environments))
        if len(what) == 1:
            return compare(*_stored_and_present(what[0], args.on, environments))
        raise UsageError(
            "`diff` takes one spec, two specs, or revisions", hint="for example main..HEAD -- specs/"
        )
    old, dots, new = what[0].partition("...") if "..." in what[0] else what[0].partition("..")
    with Repository(repository(Path.cwd() / "specs")) as repo:
        if dots == "...":
            old = repo.merge_base(old or "HEAD", new or "HEAD")
        before = _place_of_revision(repo, old or "HEAD", args.on, environments)
        if dots:
            after = _place_of_revision(repo, new or "HEAD", args.on, environments)
        else:
            after = sides.place_of(DISK, "the working tree", repo.root, args.on, environments)
        return compare(*_revision_sides(before, after, what[1:] or [DEFAULT_FOLDER]))


def _revision_sides(
    before: sides.Place, after: sides.Place, paths: list[str]
) -> tuple[sides.Side, sides.Side]:
    """Compile the specs of both revisions; what the change does not touch is compiled once."""
    old_specs, new_specs = sides.specs_in(before, paths), sides.specs_in(after, paths)
    if not old_specs and not new_specs:
        raise UsageError(f"no specs in {', '.join(paths)}", hint="name files or folders after `--`")
    touched = sides.affected_specs(before, after, {*old_specs, *new_specs})
    old = sides.compile_side(before, old_specs)
    same = sides.Side(old.name)
    same.plans = {f: p for f, p in old.plans.items() if f not in touched}
    same.broken = {f: p for f, p in old.broken.items() if f not in touched}
    return old, sides.compile_side(after, new_specs, same)


def _place_of_revision(repo: Repository, name: str, on: str | None, environments: Path | None) -> sides.Place:
    revision = repo.revision(name)
    title = name if revision.commit.startswith(name) else f"{name} ({revision.commit[:7]})"
    return sides.place_of(revision, title[:60], repo.root, on, environments)


def _stored_and_present(
    spec: str, on: str | None, environments: Path | None
) -> tuple[sides.Side, sides.Side]:
    """Return the newest stored plan with a variant of the spec, and the spec now. Raise `UsageError` if there is none."""
    root = repository(Path(spec))
    place = sides.place_of(DISK, spec, Path(os.path.realpath(root)), on, environments)
    name = os.path.relpath(os.path.realpath(spec), place.root)
    new = sides.compile_side(place, [name])
    if name in new.broken:
        load_variants(Path(spec))  # raises with every problem at its place
    variants = {v.name for v in new.plans[name].variants}
    environment = load_environment(new.plans[name].environment_name, root, environments)
    store = open_store(store_url(environment, root))
    newest_first = sorted(store.listing("plans"), key=lambda item: item.modified, reverse=True)
    for item in newest_first[:MOST_STORED_PLANS]:
        try:
            plan = from_json(store.read(item.name) or b"", item.name)
        except C2fError:
            continue  # of another version
        if variants & {v.name for v in plan.variants}:
            return sides.Side(f"stored plan {plan.digest[:10]}", {name: plan}), new
    raise UsageError(f"no plan of {spec} found in {store.url}", hint="`c2f-spec plan` shows what would run")
