"""`shell STAGE`: the pod of a stage with its inputs and its environment, asleep, to look around in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import open_control, stage_of
from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from argparse import Namespace


def shell(args: Namespace) -> int:
    """Prints the command that enters it: entering needs a terminal of your own."""
    plan, _, control, _ = open_control(args)
    print(control.shell(plan, stage_of(plan, args.stage)))
    return Exit.OK
