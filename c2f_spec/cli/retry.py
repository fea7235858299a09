"""`retry`: forgive failures. Failed stages run again, those that are done do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import chosen, open_control
from c2f_spec.errors import Exit
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace


def retry(args: Namespace) -> int:
    """Of one stage, or of all; a driver that still runs goes on at once, otherwise `apply` does."""
    plan, objects, control, spec = open_control(args)
    failed = [s for s in chosen(plan, args.stage) if records.is_failed(objects, s.kind, s.key)]
    for stage in failed:
        records.retry(objects, stage.kind, stage.key)
        avoided = records.faulty_nodes(objects, stage.kind, stage.key)
        elsewhere = f", not on {', '.join(avoided)}" if avoided else ""
        print(f"{stage.name} will be tried again by `apply`{elsewhere}")
    if failed:
        control.notify_retry(plan)
        print(f"next: c2f-spec apply {spec}")
    else:
        print("nothing has failed")
    return Exit.OK
