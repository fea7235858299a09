"""`logs`: print the logs of a stage, of all attempts; `-f` goes on until the stage ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import compile_work, find_stage
from c2f_spec.errors import Exit

if TYPE_CHECKING:
    from argparse import Namespace


def logs(args: Namespace) -> int:
    work = compile_work(args)
    if args.stage is None:
        with_logs = [s for s in work.plan.stages if any(True for _ in work.control.logs(s))]
        print("\n".join(f"{s.name}  {s.label}" for s in with_logs) or "no stage has run yet")
        return Exit.OK
    for line in work.control.logs(find_stage(work.plan, args.stage), follow=args.follow):
        print(line, flush=True)
    return Exit.OK
