"""The verbs. Each is what its name says, in a few lines: load, do, show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec.cli.work import annotated, open_work, refuse_unstaged
from c2f_spec.errors import Exit
from c2f_spec.plan.subset import until

if TYPE_CHECKING:
    from argparse import Namespace


def expand(args: Namespace) -> int:
    from c2f_spec.cli.expand import expand_spec

    return expand_spec(args)


def apply(args: Namespace) -> int:
    """Run what is missing. Exit 8 if a stage failed; what needs it did not run, everything else did."""
    from c2f_spec.cli.apply import apply_plan
    from c2f_spec.cli.saved import is_saved, open_saved

    if is_saved(args):
        work = open_saved(args)
        plan = work.plan
    else:
        work = open_work(args, to_run=True)
        if args.until:
            work = replace(work, plan=until(work.plan, args.until))
        plan = annotated(work)
    refuse_unstaged(work, plan)
    if plan.environment.kind == "kubernetes":
        from c2f_spec.cli.apply_cluster import apply_on_cluster

        return apply_on_cluster(work, plan, args)
    return apply_plan(work, plan, report=not args.no_report, allow_dirty=args.allow_dirty)


def schema(_args: Namespace) -> int:
    from c2f_spec.jsonschema import text

    print(text(), end="")
    return Exit.OK
