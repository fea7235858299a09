"""`logs`: what a stage printed, all attempts; `-f` goes on until none comes any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import open_control, stage_of
from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from argparse import Namespace


def logs(args: Namespace) -> int:
    plan, _, control, _ = open_control(args)
    if args.stage is None:
        with_logs = [s for s in plan.stages if any(True for _ in control.logs(s))]
        print("\n".join(f"{s.name}  {s.label}" for s in with_logs) or "no stage has run yet")
        return Exit.OK
    for line in control.logs(stage_of(plan, args.stage), follow=args.follow):
        print(line, flush=True)
    return Exit.OK
