"""`shell STAGE`: start the pod of a stage with its inputs and its environment, asleep, to look around in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import compile_work, find_stage
from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from argparse import Namespace


def shell(args: Namespace) -> int:
    """Print the command that enters the pod: entering needs a terminal."""
    work = compile_work(args)
    print(work.control.shell(work.plan, find_stage(work.plan, args.stage)))
    return Exit.OK
