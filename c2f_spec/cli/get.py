"""`get SPEC [STAGE] --to DIR`: copies of what stages left, every byte compared with the record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import output
from c2f_spec.cli.workspace import chosen, compile_work
from c2f_spec.errors import Exit, UsageError
from c2f_spec.plan.compile import store_url
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace

    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore


def get(args: Namespace) -> int:
    """Exit 4 if some of the stages have no output yet. Raises `UsageError` before it would write over anything."""
    _, plan, environment, root = compile_work(args)
    objects = open_store(store_url(environment, root))
    missing = 0
    for stage in chosen(plan, args.stage):
        record = records.read_record(objects, stage.kind, stage.key)
        if record is None:
            print(f"{stage.name}  {stage.label}: not done")
            missing += 1
            continue
        new = _copied(objects, record, Path(args.to) / stage.name)
        size = sum(entry.size for entry in record.files.values())
        said = f"{len(record.files):,} files, {size / 1e6:,.1f} MB" if new else "there before"
        print(f"{output.relative(Path(args.to) / stage.name)}  {stage.label}: {said}")
    return Exit.DIFFERENCE if missing else Exit.OK


def _copied(objects: ObjectStore, record: Record, folder: Path) -> bool:
    """False if it was there already. It appears whole: the copy is made beside it and renamed."""
    if folder.exists():
        here = digest_folder(folder)
        if here.keys() == record.files.keys() and all(here[n].same(e) for n, e in record.files.items()):
            return False
        raise UsageError(
            f"{folder} has other files than this stage", hint="remove it, or name another folder"
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(records.fetch(objects, record), part)
    part.rename(folder)
    return True
