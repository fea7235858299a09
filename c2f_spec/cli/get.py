"""`get SPEC [STAGE] --to DIR`: copy the output of stages, every byte compared with the record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import relative
from c2f_spec.cli.workspace import choose_stages, compile_work
from c2f_spec.errors import Exit, UsageError
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore


def get(args: Namespace) -> int:
    """Exit 4 if some stages have no output yet. Raise `UsageError` instead of overwriting anything."""
    work = compile_work(args)
    missing = 0
    for stage in choose_stages(work.plan, args.stage):
        folder = Path(args.to) / stage.name
        record = records.read_record(work.store, stage.kind, stage.key)
        if record is None:
            print(f"{stage.name}  {stage.label}: not done")
            missing += 1
            continue
        new = _copy(work.store, record, folder)
        size = sum(entry.size for entry in record.files.values())
        result = f"{len(record.files):,} files, {size / 1e6:,.1f} MB" if new else "unchanged"
        print(f"{relative(folder)}  {stage.label}: {result}")
    return Exit.DIFFERENCE if missing else Exit.OK


def _copy(store: ObjectStore, record: Record, folder: Path) -> bool:
    """Return whether files were copied: not if the folder has them already. It appears whole, by a rename."""
    if folder.exists():
        existing = digest_folder(folder)
        if existing.keys() == record.files.keys() and all(
            existing[n].same(e) for n, e in record.files.items()
        ):
            return False
        raise UsageError(
            f"{folder} has other files than this stage", hint="remove it, or name another folder"
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(records.fetch(store, record), part)
    part.rename(folder)
    return True
