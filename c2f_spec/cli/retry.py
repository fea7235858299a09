"""`retry`: clear failures, so that failed stages run again; those that are done do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.cli.workspace import choose_stages, compile_work
from c2f_spec.errors import Exit
from c2f_spec.store import records

if TYPE_CHECKING:
    from argparse import Namespace


def retry(args: Namespace) -> int:
    """Clear the failures of one stage, or of all. A driver that still runs goes on at once, otherwise `apply` does."""
    work = compile_work(args)
    store = work.store
    failed = [s for s in choose_stages(work.plan, args.stage) if records.is_failed(store, s.kind, s.key)]
    for stage in failed:
        records.retry(store, stage.kind, stage.key)
        avoided = records.faulty_nodes(store, stage.kind, stage.key)
        elsewhere = f", not on {', '.join(avoided)}" if avoided else ""
        print(f"{stage.name} will be tried again by `apply`{elsewhere}")
    if failed:
        work.control.notify_retry(work.plan)
        print(f"next: c2f-spec apply {work.spec}")
    else:
        print("nothing has failed")
    return Exit.OK
