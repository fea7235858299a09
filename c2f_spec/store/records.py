"""Records and what stands beside them: the layout of the store, and the only way in which a stage becomes done.

records/<kind>/<key>.json           exists = done
preimages/<kind>/<key>.json         what the key is the hash of
failures/<kind>/<key>/<n>.json      retries/<kind>/<key>/<n>.json     failed iff failures > retries
work/<kind>/<key>/attempts/<attempt>/…   the files of an attempt, before and after it won
work/<kind>/<key>/{logs/<attempt>/<seq>, progress.json, metrics.jsonl}
datasets/<name>/<digest>/{dataset.json, files/…}
models/<repository>/<revision>/<digest>/{model.json, files/…}
plans/<digest>/plan.json

A failure with `node` and `hardware` was caused by that machine: the next attempt avoids it, and is made without a request
of the user, up to `MAX_MOVES` times. After that the cause is the stage or the whole pool, and a person has to look.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from c2f_spec.errors import MEANING, StageExit, Unreachable
from c2f_spec.keys import canonical_json
from c2f_spec.spec.handoff import FileEntry, Record
from c2f_spec.store.cache import fetch_verified, fetch_verified_file, verify_stored
from c2f_spec.store.digest import digest_folder, digest_of, read_all_sealed, read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from c2f_spec.store.cache import OnProgress
    from c2f_spec.store.protocol import ObjectStore


def model_add_command(name: str) -> str:
    """Return the command that stages the model `name` (repository@revision)."""
    repository, _, revision = name.partition("@")
    return f"c2f-spec model add {repository} --revision {revision} --from DIR|hf|modelscope"


RESTORE = "restore it from a copy of the store, or remove this file to run the stage again"

PROGRESS = {"done": int, "total": int, "unit": str, "time": float, "values": dict}
"""Required fields of `progress.json` and their types."""


def record_name(kind: str, key: str) -> str:
    return f"records/{kind}/{key}.json"


def work_name(kind: str, key: str) -> str:
    return f"work/{kind}/{key}"


def attempt_name(kind: str, key: str, attempt: str) -> str:
    return f"{work_name(kind, key)}/attempts/{attempt}"


def read_record(store: ObjectStore, kind: str, key: str) -> Record | None:
    """Return the record of a stage, or `None` if it is not done."""
    value = read_sealed(store, record_name(kind, key), RESTORE)
    return None if value is None else _record(store, record_name(kind, key), value)


def read_records(store: ObjectStore, kind: str, keys: Iterable[str]) -> list[Record]:
    """Return the records of those of the stages `keys` that are done, read in parallel."""
    found = read_all_sealed(store, [record_name(kind, key) for key in keys], RESTORE)
    return [_record(store, name, value) for name, value in found.items()]


def _record(store: ObjectStore, name: str, value: dict[str, Any]) -> Record:
    try:
        return Record.model_validate(value)
    except ValidationError as error:
        raise Unreachable(
            f"another version of c2f-spec wrote the record {name} in {store.url}",
            hint="use the newer version, or remove the file to run the stage again",
        ) from error


def commit(store: ObjectStore, record: Record, folder: Path) -> Record:
    """Store the files of `folder`, then `record`. Return the record that counts, which may be of another attempt."""
    files = store.put_folder(folder, _folder(record), record.files)
    record = record.model_copy(update={"files": files})
    if store.create(record_name(record.kind, record.key), record_bytes(record)):
        return record
    winner = read_record(store, record.kind, record.key)
    assert winner is not None, "the record existed a moment ago and is never removed"
    return winner


def record_bytes(record: Record) -> bytes:
    """Return the bytes of a record in the store."""
    files = {path: entry.model_dump(exclude_none=True) for path, entry in record.files.items()}
    return seal({**record.model_dump(), "files": files})


def fetch(store: ObjectStore, record: Record, on_progress: OnProgress | None = None) -> Path:
    """Return a folder with the verified files of a committed output. Read only; it lasts as long as this process.

    Raises `Unreachable` naming the first file that is missing or differs from its record.
    """
    remedy = f"remove {record_name(record.kind, record.key)} from the store to run the stage again"
    return fetch_verified(store, _folder(record), record.files, None, remedy, on_progress)


def fetch_file(store: ObjectStore, record: Record, path: str) -> Path:
    """Return the path of one verified file of a committed output. Raises `Unreachable` if it is missing or differs."""
    remedy = f"remove {record_name(record.kind, record.key)} from the store to run the stage again"
    return fetch_verified_file(store, _folder(record), path, record.files[path], remedy)


def verify(store: ObjectStore, record: Record) -> None:
    """Read every file of a committed output in the store. Raises `Damaged` naming a file that was changed."""
    remedy = f"remove {record_name(record.kind, record.key)} from the store to run the stage again"
    verify_stored(store, _folder(record), record.files, remedy)


def dataset_listing(name: str, digest: str) -> str:
    """Return the name of the object whose existence means that a copy of a data set is complete."""
    return f"datasets/{name}/{digest}/dataset.json"


def model_listing(name: str, digest: str) -> str:
    """Return the name of the object whose existence means that a copy of a model is complete."""
    return f"models/{name.replace('@', '/')}/{digest}/model.json"


def fetch_dataset(store: ObjectStore, name: str, digest: str, on_progress: OnProgress | None = None) -> Path:
    """Return a folder with the verified files of a staged copy of a data set. Raises `Unreachable`."""
    listed = dataset_listing(name, digest)
    folder = listed.rpartition("/")[0]
    remedy = f"remove {folder} from the store {store.url} and stage the data set again"
    listing = read_sealed(store, listed, remedy)
    if listing is None:
        raise Unreachable(
            f"data set `{name}` is not in the store with digest {digest[:10]}",
            hint=f"c2f-spec data add {name} stages it",
        )
    files = {path: FileEntry(**entry) for path, entry in listing["files"].items()}
    return fetch_verified(store, f"{folder}/files", files, None, remedy, on_progress)


def fetch_model(
    store: ObjectStore,
    name: str,
    digest: str,
    on_progress: OnProgress | None = None,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Path:
    """Return a folder with the verified `wanted` files of a staged model (`repository@revision`).

    Raises `Unreachable`.
    """
    listed = model_listing(name, digest)
    folder = listed.rpartition("/")[0]
    remedy = f"remove {folder} from the store {store.url} and stage the model again"
    listing = read_sealed(store, listed, remedy)
    if listing is None:
        raise Unreachable(
            f"model `{name}` is not in the store with digest {digest[:10]}",
            hint=f"{model_add_command(name)} stages it",
        )
    files = {path: FileEntry(**entry) for path, entry in listing["files"].items() if wanted(path)}
    return fetch_verified(store, f"{folder}/files", files, None, remedy, on_progress)


def files_present(store: ObjectStore, record: Record) -> bool:
    """Return whether every file of a record exists with its size. Cheap; `fetch` compares digests."""
    return _present(store, _folder(record), record.files)


def _present(store: ObjectStore, folder: str, files: dict[str, FileEntry]) -> bool:
    sizes = {item.name: item.size for item in store.listing(folder)}
    return all(
        sizes.get(f"{folder}/{path}") == entry.size
        if entry.shard is None
        else sizes.get(f"{folder}/{entry.shard}", 0) >= (entry.offset or 0) + entry.size
        for path, entry in files.items()
    )


def _folder(record: Record) -> str:
    return attempt_name(record.kind, record.key, record.attempt)


def save_preimages(store: ObjectStore, stages: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Write the preimage of each stage (kind, key, preimage), unless it is stored."""
    texts = {f"preimages/{kind}/{key}.json": canonical_json(preimage) for kind, key, preimage in stages}
    there = {n for kind in {name.split("/")[1] for name in texts} for n in store.names(f"preimages/{kind}")}
    store.create_many({name: text.encode() for name, text in texts.items() if name not in there})


def read_preimages(store: ObjectStore, kind: str, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return key → preimage of those of `keys` that were ever launched with this store.

    A preimage that does not hash to its key is damaged and left out: preimages only explain.
    """
    found = {}
    for name, data in store.read_many([f"preimages/{kind}/{key}.json" for key in keys]).items():
        if hashlib.sha256(data).hexdigest() == _key(name):
            found[_key(name)] = json.loads(data)
    return found


def read_progress(store: ObjectStore, kind: str, key: str) -> dict[str, Any] | None:
    """Return the last progress of a running stage, or `None`. Advisory: an invalid object counts as none."""
    try:
        state = json.loads(store.read(f"{work_name(kind, key)}/progress.json") or b"null")
    except ValueError:
        return None
    complete = isinstance(state, dict) and PROGRESS.keys() <= state.keys()
    return (
        state
        if complete and all(isinstance(state[name], type_) for name, type_ in PROGRESS.items())
        else None
    )


def read_failures(store: ObjectStore, kind: str, key: str) -> list[dict[str, Any]]:
    """Return the failures of a stage, oldest first."""
    prefix = f"failures/{kind}/{key}"
    remedy = f"remove the objects below {prefix} and retries/{kind}/{key}"
    found = read_all_sealed(store, store.names(prefix), remedy)
    return [found[name] for name in sorted(found, key=_number)]


def add_failure(store: ObjectStore, kind: str, key: str, failure: dict[str, Any]) -> None:
    _append(store, f"failures/{kind}/{key}", failure)


def is_failed(store: ObjectStore, kind: str, key: str) -> bool:
    """Return whether a stage failed more often than a retry was requested."""
    return _count(store, f"failures/{kind}/{key}") > _count(store, f"retries/{kind}/{key}")


def retry(store: ObjectStore, kind: str, key: str) -> None:
    """Request another attempt after every failure so far; failures stay readable."""
    while is_failed(store, kind, key):
        _append(store, f"retries/{kind}/{key}", {})


def datasets_present(store: ObjectStore, name: str) -> list[str]:
    """Return the digests of the staged copies of a data set."""
    return sorted(
        parts[2]
        for parts in (n.split("/") for n in store.names(f"datasets/{name}"))
        if len(parts) == 4 and parts[3] == "dataset.json"
    )


def models_present(store: ObjectStore, name: str) -> list[str]:
    """Return the digests of the staged copies of a model (repository@revision)."""
    prefix = f"models/{name.replace('@', '/')}"
    below = (n.removeprefix(f"{prefix}/").split("/") for n in store.names(prefix))
    return sorted(parts[0] for parts in below if parts[1:] == ["model.json"])


def add_dataset(store: ObjectStore, name: str, folder: Path, facts: dict[str, Any]) -> str:
    """Move `folder` into the store as a copy of the data set `name`; return its digest."""
    files = digest_folder(folder)
    digest = digest_of(files)
    if digest not in datasets_present(store, name):
        target = f"datasets/{name}/{digest}"
        if not _present(store, f"{target}/files", files):
            files = store.put_folder(folder, f"{target}/files", files)
        listing = {path: entry.model_dump(exclude_none=True) for path, entry in files.items()}
        store.create(f"{target}/dataset.json", seal({**facts, "files": listing}))
    return digest


def _append(store: ObjectStore, prefix: str, value: dict[str, Any]) -> None:
    number = _count(store, prefix)
    data = seal({**value, "nonce": uuid.uuid4().hex})  # equal failures of two attempts count twice
    while not store.create(f"{prefix}/{number}.json", data):
        number += 1


def _count(store: ObjectStore, prefix: str) -> int:
    return sum(1 for _ in store.names(prefix))


def _number(name: str) -> int:
    return int(_key(name))


def _key(name: str) -> str:
    return name.rsplit("/", 1)[1].removesuffix(".json")


MAX_MOVES = 3
"""Attempts on other machines that a stage gets without a request."""


def faulty_nodes(store: ObjectStore, kind: str, key: str) -> tuple[str, ...]:
    """Return the nodes whose hardware failed this stage, the first one first."""
    found = read_failures(store, kind, key)
    return tuple(dict.fromkeys(str(f["node"]) for f in found if f.get("hardware") and f.get("node")))


def add_node_fault(
    store: ObjectStore, kind: str, key: str, *, pod: str, node: str, what: str, line: str
) -> None:
    """Record that `node` failed the pod with the uid `pod`, once however often it is called."""
    if any(f.get("pod") == pod for f in read_failures(store, kind, key)):
        return
    failure = {
        "code": int(StageExit.TRANSIENT),
        "class": MEANING[StageExit.TRANSIENT],
        "message": f"{what}, on the node {node}",
        "hint": f"its next attempt avoids the node; report it to the administrators: {line[:200]}",
        "hardware": what,
        "node": node,
        "pod": pod,
    }
    add_failure(store, kind, key, failure)


def retry_after_node_fault(store: ObjectStore, kind: str, key: str) -> bool:
    """Retry a failed stage whose last failure was caused by a node; return whether it gets another attempt."""
    found = read_failures(store, kind, key)
    faults = sum(bool(f.get("hardware")) for f in found)
    if not found or not found[-1].get("hardware") or faults > MAX_MOVES:
        return False
    retry(store, kind, key)
    return True
