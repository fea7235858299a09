"""`adopt`: store a checkpoint or chains from elsewhere, and write into the lock that they stand for a stage.

What that means for keys is in `plan/adopted.py`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli.output import note, relative
from c2f_spec.cli.workspace import compile_work, find_stage
from c2f_spec.errors import Exit, UsageError, shorten
from c2f_spec.execution.provenance import author
from c2f_spec.language.lock_file import Adoption, write_adoption
from c2f_spec.plan.adopted import ADOPTABLE, adopted_key, is_adopted
from c2f_spec.plan.pins import lock_path
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder, digest_of
from c2f_spec.store.model_weights import PICKLES, check_tensors

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.store.protocol import ObjectStore

LINE_HINT = 'write one {"id", "text"} a line'


def check_checkpoint(folder: Path) -> int:
    """Return the bytes of weights. Raise `UsageError` unless it is a whole model with its tokenizer, in safetensors."""
    files = [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    names = {p.name for p in files}
    weights = [p for p in files if p.suffix == ".safetensors"]
    if "adapter_config.json" in names:
        raise UsageError(
            f"{folder} holds adapters, not a model", hint="merge them into their base model first"
        )
    if pickled := sorted(p.name for p in files if p.suffix in PICKLES):
        raise UsageError(
            f"{folder} holds {pickled[0]}, which runs code when it is read", hint="save it as safetensors"
        )
    missing = [n for n in ("config.json", "tokenizer_config.json") if n not in names]
    missing += [] if weights else ["*.safetensors"]
    if missing:
        raise UsageError(
            f"{folder} is not a model: missing {', '.join(missing)}",
            hint="save model and processor with save_pretrained into one folder",
        )
    for path in weights:
        check_tensors(path)
    return sum(p.stat().st_size for p in weights)


def check_chains(path: Path, train: Collection[str] | None) -> int:
    """Return the number of chains. Raise `UsageError` at a line that is not a chain of a clip of the training split.

    `train` are the ids of the training split, if it is prepared.
    """
    ids: set[str] = set()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            at = f"{path}:{number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(f"{at}: not JSON: {error.msg}", hint=LINE_HINT) from None
            if (
                not isinstance(row, dict)
                or not isinstance(row.get("id"), str)
                or not isinstance(row.get("text"), str)
            ):
                raise UsageError(f"{at}: not a chain", hint=LINE_HINT)
            if row["id"] in ids:
                raise UsageError(f"{at}: duplicate id `{shorten(row['id'])}`", hint="keep one chain for it")
            if train is not None and row["id"] not in train:
                raise UsageError(
                    f"{at}: `{shorten(row['id'])}` is not a clip of the training split",
                    hint="a chain of a test clip would leak its answer into training",
                )
            ids.add(row["id"])
    if not ids:
        raise UsageError(f"{path} is empty", hint=LINE_HINT)
    return len(ids)


def adopt(args: Namespace) -> int:
    """Store the files and write their digest into the lock. The same files again only fill a store without them.

    Raises `UsageError` if the files are invalid, or others than those that are adopted.
    """
    work = compile_work(args)
    store, stage = work.store, find_stage(work.plan, args.stage)
    what = "checkpoint" if args.checkpoint else "chains"
    if ADOPTABLE.get(stage.kind) != what:
        kinds = " and ".join(kind for kind, output in ADOPTABLE.items() if output == what)
        raise UsageError(f"the output of {stage.name} has no {what}", hint=f"--{what} is for {kinds}")
    source = Path(args.checkpoint or args.chains)
    if not source.exists():
        raise UsageError(f"{source}: file not found")
    summary = _check(source, what, store, work.plan, stage)
    by = args.by or author(work.root)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "out"
        _copy(source, folder, what)
        files = digest_folder(folder)
        digest = digest_of(files)
        if is_adopted(stage) and digest != stage.preimage["adopted"]:
            raise UsageError(
                f"{stage.name} is adopted already, with other files",
                hint="remove its entry from `adopted` in c2f.lock first",
            )
        key, preimage = (stage.key, stage.preimage) if is_adopted(stage) else adopted_key(stage, digest)
        records.save_preimages(store, [(stage.kind, key, preimage)])
        record = Record(
            kind=stage.kind,
            key=key,
            attempt=f"adopted-{uuid.uuid4().hex}",
            nonce=uuid.uuid4().hex,
            files=files,
            summary=summary,
            provenance={
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": {"start": 0.0, "work": 0.0},
                "adopted": {"by": by, "why": args.why},
            },
        )
        if records.read_record(store, stage.kind, key) is None:
            records.commit(store, record, folder)
    if is_adopted(stage):
        print(f"{stage.name}: its files are in this store")
        return Exit.OK
    lock = lock_path(work.loaded[0].path, work.root)
    write_adoption(lock, Adoption(stage.key, digest, by, args.why))
    print(f"{stage.kind}-{key[:10]} stands for {stage.name}: {len(files)} files, digest {digest[:10]}")
    print(f"wrote {relative(lock)}: commit it, and what needs this stage reads these files")
    return Exit.OK


def _check(source: Path, what: str, store: ObjectStore, plan: Plan, stage: Stage) -> dict[str, int]:
    """Return a summary of what is adopted. Raise `UsageError` if it is invalid."""
    if what == "checkpoint":
        return {"bytes": check_checkpoint(source)}
    train = _training_ids(store, plan, stage)
    if train is None and not is_adopted(stage):
        note("warning: the training set is not in this store, so the ids of the chains are not checked")
    return {"chains": check_chains(source, train)}


def _training_ids(store: ObjectStore, plan: Plan, stage: Stage) -> set[str] | None:
    """Return the ids of the training split that the stage reads, if it is prepared."""
    if is_adopted(stage):
        return None  # checked when it was adopted, and the digest is the same
    prepared = plan.stage(stage.inputs["prepare"])
    record = records.read_record(store, prepared.kind, prepared.key)
    if record is None:
        return None
    with records.fetch_file(store, record, "manifest.jsonl").open(encoding="utf-8") as file:
        return {row["id"] for row in map(json.loads, file) if row["split"] == "train"}


def _copy(source: Path, folder: Path, what: str) -> None:
    """Copy the files to where the stage writes them. The store moves what it commits, so it gets a copy."""
    if what == "chains":
        folder.mkdir()
        shutil.copyfile(source, folder / "chains.jsonl")
        return
    shutil.copytree(
        source, folder / "model", ignore=lambda at, names: [n for n in names if Path(at, n).is_dir()]
    )
