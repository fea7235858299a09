"""`delete`: remove what a plan has in its place, and look that nothing is left. Results stay in the store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note
from c2f_spec.cli.workspace import open_control
from c2f_spec.errors import Exit, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

SHOWN = 20


def delete(args: Namespace) -> int:
    """Names everything first. Exit 4 if something does not go."""
    plan, _, control, _ = open_control(args)
    others = control.plans_that_need(plan)
    kept = () if args.force else tuple(others)
    found = control.deletable(plan, kept)
    staying = [plan.stage(key).name for key in kept if key in {s.key for s in plan.stages}]
    if staying:
        print(f"kept for others: {', '.join(sorted(staying))} (--force removes them all the same)")
    if not found:
        print(f"nothing of {plan.name} is there; results stay in the store")
        return Exit.OK
    print("\n".join([*found[:SHOWN], *([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])]))
    if not args.yes and not _agreed(len(found)):
        print("nothing was removed")
        return Exit.OK
    left = control.delete(plan, kept, note)
    if left:
        print("\n".join(["these do not go:", *left]))
        return Exit.DIFFERENCE
    print(f"removed; nothing of {plan.name} is left, and its results stay in the store")
    return Exit.OK


def _agreed(count: int) -> bool:
    """Ask whoever sits at the terminal. Raises `UsageError` if nobody does."""
    if not sys.stdin.isatty():
        raise UsageError("delete asks before it removes, and nobody is at the terminal", hint="add --yes")
    print(f"remove these {count}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
