"""`delete`: remove the objects or processes of a plan, and check that nothing is left. Results stay in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.output import confirm, note
from c2f_spec.cli.workspace import compile_work
from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from argparse import Namespace

MOST_NAMES = 20
"""Objects that are printed before they are removed."""


def delete(args: Namespace) -> int:
    """Print what there is before removing it. Exit 4 if something is left."""
    work = compile_work(args)
    plan, control = work.plan, work.control
    others = control.plans_that_need(plan)
    kept = () if args.force else tuple(others)
    names = control.deletable(plan, kept)
    keys = {s.key for s in plan.stages}
    if needed := sorted(plan.stage(key).name for key in kept if key in keys):
        print(f"kept for other plans: {', '.join(needed)} (--force removes them nevertheless)")
    if not names:
        print(f"nothing of {plan.name} is there; results stay in the store")
        return Exit.OK
    left = len(names) - MOST_NAMES
    print("\n".join([*names[:MOST_NAMES], *([f"and {left} more"] if left > 0 else [])]))
    unattended = "delete asks before it removes: nobody is at the terminal to confirm it"
    if not args.yes and not confirm(f"remove these {len(names)}?", unattended=unattended):
        print("nothing was removed")
        return Exit.OK
    if remaining := control.delete(plan, kept, note):
        print("\n".join(["these could not be removed:", *remaining]))
        return Exit.DIFFERENCE
    print(f"removed; nothing of {plan.name} is left, and its results stay in the store")
    return Exit.OK
