"""`adopt`: bring a checkpoint or chains that were made elsewhere into the store, and say in the lock that they stand for a
stage. What that means for keys is in `plan/adopted.py`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from c2f_spec.cli import output
from c2f_spec.cli.workspace import compile_work, stage_of
from c2f_spec.errors import Exit, UsageError, shorten
from c2f_spec.execution.provenance import author
from c2f_spec.language.lock_file import Adoption, write_adoption
from c2f_spec.plan.adopted import ADOPTABLE, adopted_key, is_adopted
from c2f_spec.plan.compile import store_url
from c2f_spec.plan.pins import lock_path
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder, digest_of
from c2f_spec.store.model_weights import PICKLES, check_tensors
from c2f_spec.store.open import open_store

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.handoff import FileEntry
    from c2f_spec.store.protocol import ObjectStore


def check_checkpoint(folder: Path) -> int:
    """Bytes of weights. Raises `UsageError` unless it is a whole model with its tokenizer, in safetensors."""
    files = [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    names = {p.name for p in files}
    weights = [p for p in files if p.suffix == ".safetensors"]
    if "adapter_config.json" in names:
        raise UsageError(f"{folder} holds adapters, not a model", hint="merge them into their base first")
    if pickled := sorted(p.name for p in files if p.suffix in PICKLES):
        raise UsageError(
            f"{folder} holds {pickled[0]}, which runs code when it is read", hint="save it as safetensors"
        )
    lacks = [n for n in ("config.json", "tokenizer_config.json") if n not in names]
    lacks += [] if weights else ["*.safetensors"]
    if lacks:
        raise UsageError(
            f"{folder} is no model: it lacks {', '.join(lacks)}",
            hint="model and processor as save_pretrained writes them, in one folder",
        )
    for path in weights:
        check_tensors(path)
    return sum(p.stat().st_size for p in weights)


def check_chains(path: Path, train: Collection[str] | None) -> int:
    """Number of chains. Raises `UsageError` at a line that is none, or that is of no clip of the training split.

    `train` are the ids of the training split, if it is prepared.
    """
    seen: set[str] = set()
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            at = f"{path}:{number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UsageError(f"{at}: not JSON: {error.msg}", hint='one {"id", "text"} a line') from None
            if (
                not isinstance(row, dict)
                or not isinstance(row.get("id"), str)
                or not isinstance(row.get("text"), str)
            ):
                raise UsageError(f"{at}: not a chain", hint='one {"id", "text"} a line')
            if row["id"] in seen:
                raise UsageError(f"{at}: a second chain for `{shorten(row['id'])}`", hint="keep one")
            if train is not None and row["id"] not in train:
                raise UsageError(
                    f"{at}: `{shorten(row['id'])}` is no clip of the training split",
                    hint="a chain of a test clip would leak its answer into training",
                )
            seen.add(row["id"])
    if not seen:
        raise UsageError(f"{path} holds no chains", hint='one {"id", "text"} a line')
    return len(seen)


def adopt(args: Namespace) -> int:
    """Adopting the same files again changes nothing, but in a store that lacks them. Exit 64 if they are something else."""
    loaded, plan, environment, root = compile_work(args)
    stage = stage_of(plan, args.stage)
    given = "checkpoint" if args.checkpoint else "chains"
    if ADOPTABLE.get(stage.kind) != given:
        kinds = " and ".join(kind for kind, what in ADOPTABLE.items() if what == given)
        raise UsageError(f"{stage.name} leaves no {given}", hint=f"--{given} is for {kinds}")
    objects = open_store(store_url(environment, root))
    source = Path(args.checkpoint or args.chains)
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    summary = _check(source, given, objects, plan, stage)
    by = args.by or author(root)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "out"
        _copy(source, folder, given)
        files = digest_folder(folder)
        digest = digest_of(files)
        if is_adopted(stage) and digest != stage.preimage["adopted"]:
            raise UsageError(
                f"{stage.name} is adopted already, with other files",
                hint="remove its entry from `adopted` in c2f.lock first",
            )
        key, preimage = (stage.key, stage.preimage) if is_adopted(stage) else adopted_key(stage, digest)
        records.save_preimages(objects, [(stage.kind, key, preimage)])
        _commit(objects, stage, key, folder, files, summary, {"by": by, "why": args.why})
    if is_adopted(stage):
        print(f"{stage.name}: its files are in this store")
        return Exit.OK
    lock = lock_path(loaded[0].path, root)
    write_adoption(lock, Adoption(stage.key, digest, by, args.why))
    print(f"{stage.kind}-{key[:10]} stands for {stage.name}: {len(files)} files, digest {digest[:10]}")
    print(f"written to {output.relative(lock)}; commit it, and what needs this stage reads these files")
    return Exit.OK


def _check(source: Path, given: str, objects: ObjectStore, plan: Plan, stage: Stage) -> dict[str, int]:
    """A summary of what is adopted. Raises `UsageError` if it is something else."""
    if given == "checkpoint":
        return {"bytes": check_checkpoint(source)}
    train = _train(objects, plan, stage)
    if train is None and not is_adopted(stage):
        output.note(
            "warning: the training set is not prepared here, so nobody looked whether the chains are of it"
        )
    return {"chains": check_chains(source, train)}


def _train(objects: ObjectStore, plan: Plan, stage: Stage) -> set[str] | None:
    """Ids of the training split that the stage reads, if it is prepared."""
    if is_adopted(stage):
        return None  # it was looked at when it was adopted; the digest says that it is the same
    prepared = plan.stage(stage.inputs["prepare"])
    record = records.read_record(objects, prepared.kind, prepared.key)
    if record is None:
        return None
    with records.fetch_file(objects, record, "manifest.jsonl").open(encoding="utf-8") as file:
        return {row["id"] for row in map(json.loads, file) if row["split"] == "train"}


def _copy(source: Path, folder: Path, given: str) -> None:
    """As the stage leaves it. A copy, because the store takes what it is given away."""
    if given == "chains":
        folder.mkdir()
        shutil.copyfile(source, folder / "chains.jsonl")
        return
    shutil.copytree(
        source, folder / "model", ignore=lambda at, names: [n for n in names if Path(at, n).is_dir()]
    )


def _commit(
    objects: ObjectStore,
    stage: Stage,
    key: str,
    folder: Path,
    files: dict[str, FileEntry],
    summary: dict[str, int],
    adopted: dict[str, str],
) -> None:
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
            "adopted": adopted,
        },
    )
    if records.read_record(objects, stage.kind, key) is None:
        records.commit(objects, record, folder)
