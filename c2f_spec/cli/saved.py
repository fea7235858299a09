"""`apply plan.json`: the plan that was reviewed, compiled again, and refused if anything moved."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from c2f_spec.cli.work import Work, annotated, open_work
from c2f_spec.errors import Stale, WrongUsage, printable
from c2f_spec.plan.compile import repository
from c2f_spec.plan.saved import AGAIN, read_plan
from c2f_spec.plan.stale import moved
from c2f_spec.plan.subset import until

MOST = 12
"""Lines of what moved that are told."""


def is_saved(args: Namespace) -> bool:
    """Is `apply` given a plan and not specs?"""
    return len(args.specs) == 1 and str(args.specs[0]).endswith(".json")


def open_saved(args: Namespace) -> Work:
    """The work of a saved plan, annotated. Raises `Stale`, and what compiling its specs raises."""
    path = Path(args.specs[0])
    if args.settings or args.on or args.until:
        raise WrongUsage(
            "a plan says its own settings and environment",
            hint="leave out `--set`, `--on` and `--until`, or name the spec",
        )
    reviewed = read_plan(path)
    root = repository(Path.cwd() / path.name)
    asked = reviewed.asked
    gone = [spec for spec in asked.specs if not (root / spec).is_file()]
    if gone:
        raise Stale(
            f"{path} is of {', '.join(gone)}, not in {root}", hint="run this in the repository of the spec"
        )
    call = Namespace(**vars(args))
    call.specs, call.settings = [_shown(root / s) for s in asked.specs], list(asked.settings)
    call.on = reviewed.environment_name
    work = open_work(call, to_run=True)
    plan = annotated(replace(work, plan=until(work.plan, asked.until)) if asked.until else work)
    found = moved(reviewed, plan)
    if found:
        more = [f"  and {len(found) - MOST} more"] if len(found) > MOST else []
        lines = "\n".join([*(f"  {printable(line)}" for line in found[:MOST]), *more])
        raise Stale(f"{path} is not what would run now:\n{lines}", hint=f"review it again: {AGAIN}")
    return replace(work, plan=plan)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
