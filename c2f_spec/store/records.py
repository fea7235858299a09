"""The store's layout, and the one way in which a stage becomes done.

records/<kind>/<key>.json           exists = done
preimages/<kind>/<key>.json         what the key is the hash of
failures/<kind>/<key>/<n>.json      retries/<kind>/<key>/<n>.json     failed iff failures > retries
work/<kind>/<key>/attempts/<attempt>/…   the files of an attempt, before and after it won
work/<kind>/<key>/{logs/<attempt>/<seq>, progress.json, metrics.jsonl}
datasets/<name>/<digest>/{dataset.json, files/…}
models/<repository>/<revision>/<digest>/{model.json, files/…}
plans/<digest>/plan.json
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from c2f_spec.errors import MEANING, StageExit, Unreachable
from c2f_spec.keys import canonical
from c2f_spec.spec.handoff import FileEntry, Record
from c2f_spec.store.cache import fetch_verified, fetch_verified_file, verify_stored
from c2f_spec.store.digest import digest_folder, digest_of, read_all_sealed, read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from c2f_spec.store.cache import OnProgress
    from c2f_spec.store.protocol import ObjectStore


def model_add_command(name: str) -> str:
    """What stages a model, which is called repository@revision."""
    repository, _, revision = name.partition("@")
    return f"c2f-spec model add {repository} --revision {revision} --from DIR|hf|modelscope"


RESTORE = "restore it from a copy of the store, or remove this file to run the stage again"

PROGRESS = {"done": int, "total": int, "unit": str, "time": float, "values": dict}
"""What `progress.json` has, at least."""


def record_name(kind: str, key: str) -> str:
    return f"records/{kind}/{key}.json"


def work_name(kind: str, key: str) -> str:
    return f"work/{kind}/{key}"


def attempt_name(kind: str, key: str, attempt: str) -> str:
    return f"{work_name(kind, key)}/attempts/{attempt}"


def read_record(store: ObjectStore, kind: str, key: str) -> Record | None:
    """The record of a stage, or `None` if it is not done."""
    value = read_sealed(store, record_name(kind, key), RESTORE)
    return None if value is None else _record(store, record_name(kind, key), value)


def read_records(store: ObjectStore, kind: str, keys: Iterable[str]) -> list[Record]:
    """The records of those stages that are done, read side by side."""
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
    """Store `folder` and then `record`; returns the record that stands, which may be another attempt's."""
    files = store.put_folder(folder, _folder(record), record.files)
    record = record.model_copy(update={"files": files})
    if store.create(record_name(record.kind, record.key), record_bytes(record)):
        return record
    standing = read_record(store, record.kind, record.key)
    assert standing is not None, "the record was there a moment ago and is never removed"
    return standing


def record_bytes(record: Record) -> bytes:
    """The bytes of a record in the store."""
    files = {path: entry.model_dump(exclude_none=True) for path, entry in record.files.items()}
    return seal({**record.model_dump(), "files": files})


def fetch(store: ObjectStore, record: Record, tell: OnProgress | None = None) -> Path:
    """A folder with the files of a committed output, every one verified, for as long as this process. Read only.

    Raises `Unreachable` naming the first file that is missing or differs from its record.
    """
    remedy = f"remove {record_name(record.kind, record.key)} from the store to run the stage again"
    return fetch_verified(store, _folder(record), record.files, None, remedy, tell)


def fetch_file(store: ObjectStore, record: Record, path: str) -> Path:
    """One file of a committed output, verified. Raises `Unreachable` naming it if it is missing or differs."""
    remedy = f"remove {record_name(record.kind, record.key)} from the store to run the stage again"
    return fetch_verified_file(store, _folder(record), path, record.files[path], remedy)


def verify(store: ObjectStore, record: Record) -> None:
    """Read every file of a committed output where it is stored. Raises `Damaged` naming one that is not as committed."""
    remedy = f"remove {record_name(record.kind, record.key)} from the store to run the stage again"
    verify_stored(store, _folder(record), record.files, remedy)


def dataset_listing(name: str, digest: str) -> str:
    """What says that a copy of a data set is here, whole."""
    return f"datasets/{name}/{digest}/dataset.json"


def model_listing(name: str, digest: str) -> str:
    """What says that a copy of a model is here, whole."""
    return f"models/{name.replace('@', '/')}/{digest}/model.json"


def fetch_dataset(store: ObjectStore, name: str, digest: str, tell: OnProgress | None = None) -> Path:
    """A folder with the files of a staged copy of a data set, every one verified. Raises `Unreachable`."""
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
    return fetch_verified(store, f"{folder}/files", files, None, remedy, tell)


def fetch_model(
    store: ObjectStore,
    name: str,
    digest: str,
    tell: OnProgress | None = None,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Path:
    """A folder with the `wanted` files of a staged model (`repository@revision`), every one verified.

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
    return fetch_verified(store, f"{folder}/files", files, None, remedy, tell)


def files_present(store: ObjectStore, record: Record) -> bool:
    """Whether every file of a record is there with its size. Cheap; `fetch` compares the digests."""
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
    """Write down what the key of each stage (kind, key, preimage) is the hash of, unless it is there."""
    texts = {f"preimages/{kind}/{key}.json": canonical(preimage) for kind, key, preimage in stages}
    there = {n for kind in {name.split("/")[1] for name in texts} for n in store.names(f"preimages/{kind}")}
    store.create_many({name: text.encode() for name, text in texts.items() if name not in there})


def read_preimages(store: ObjectStore, kind: str, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Key to preimage, of those of `keys` that were ever planned to run here.

    A preimage is what its key is the digest of, so one that is damaged shows; it only explains, and is left out.
    """
    found = {}
    for name, data in store.read_many([f"preimages/{kind}/{key}.json" for key in keys]).items():
        if hashlib.sha256(data).hexdigest() == _key(name):
            found[_key(name)] = json.loads(data)
    return found


def read_progress(store: ObjectStore, kind: str, key: str) -> dict[str, Any] | None:
    """What a running stage last told of itself, if it did. Advisory: what cannot be read was not told."""
    try:
        state = json.loads(store.read(f"{work_name(kind, key)}/progress.json") or b"null")
    except ValueError:
        return None
    told = isinstance(state, dict) and PROGRESS.keys() <= state.keys()
    return state if told and all(isinstance(state[name], type_) for name, type_ in PROGRESS.items()) else None


def read_failures(store: ObjectStore, kind: str, key: str) -> list[dict[str, Any]]:
    """The failures of a stage, oldest first."""
    prefix = f"failures/{kind}/{key}"
    remedy = f"remove the objects below {prefix} and retries/{kind}/{key}"
    found = read_all_sealed(store, store.names(prefix), remedy)
    return [found[name] for name in sorted(found, key=_number)]


def add_failure(store: ObjectStore, kind: str, key: str, failure: dict[str, Any]) -> None:
    _append(store, f"failures/{kind}/{key}", failure)


def is_failed(store: ObjectStore, kind: str, key: str) -> bool:
    """A stage is failed while it failed more often than somebody asked for another try."""
    return _count(store, f"failures/{kind}/{key}") > _count(store, f"retries/{kind}/{key}")


def retry(store: ObjectStore, kind: str, key: str) -> None:
    """Forgive every failure so far; they stay readable."""
    while is_failed(store, kind, key):
        _append(store, f"retries/{kind}/{key}", {})


def datasets_present(store: ObjectStore, name: str) -> list[str]:
    """Digests of the copies of a data set that are staged here."""
    return sorted(
        parts[2]
        for parts in (n.split("/") for n in store.names(f"datasets/{name}"))
        if len(parts) == 4 and parts[3] == "dataset.json"
    )


def models_present(store: ObjectStore, name: str) -> list[str]:
    """Digests of the staged copies of a model, which is called repository@revision."""
    prefix = f"models/{name.replace('@', '/')}"
    below = (n.removeprefix(f"{prefix}/").split("/") for n in store.names(prefix))
    return sorted(parts[0] for parts in below if parts[1:] == ["model.json"])


def add_dataset(store: ObjectStore, name: str, folder: Path, facts: dict[str, Any]) -> str:
    """Move `folder` into the store as a copy of the data set `name`; returns its digest."""
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
    data = seal({**value, "nonce": uuid.uuid4().hex})  # two that say the same are two
    while not store.create(f"{prefix}/{number}.json", data):
        number += 1


def _count(store: ObjectStore, prefix: str) -> int:
    return sum(1 for _ in store.names(prefix))


def _number(name: str) -> int:
    return int(_key(name))


def _key(name: str) -> str:
    return name.rsplit("/", 1)[1].removesuffix(".json")


# Machines that failed a stage, remembered in its failures: its next attempt goes elsewhere.
#
# A failure with `node` and `hardware` was the machine's doing. It is forgiven without anybody's asking, as often as
# `MOVES`: then it is the stage, or the whole pool, and somebody should look.


MAX_MOVES = 3
"""Attempts that one stage makes on other machines by itself."""


def faulty_nodes(store: ObjectStore, kind: str, key: str) -> tuple[str, ...]:
    """Machines that had a fault under this stage, the first one first."""
    found = read_failures(store, kind, key)
    return tuple(dict.fromkeys(str(f["node"]) for f in found if f.get("hardware") and f.get("node")))


def add_node_fault(
    store: ObjectStore, kind: str, key: str, *, pod: str, node: str, what: str, line: str
) -> None:
    """Remember that `node` failed the pod with the uid `pod`; once, however often it is seen."""
    if any(f.get("pod") == pod for f in read_failures(store, kind, key)):
        return
    failure = {
        "code": int(StageExit.TRANSIENT),
        "class": MEANING[StageExit.TRANSIENT],
        "message": f"{what}, on the node {node}",
        "hint": f"its next attempt avoids the node; tell who runs it: {line[:200]}",
        "hardware": what,
        "node": node,
        "pod": pod,
    }
    add_failure(store, kind, key, failure)


def retry_after_node_fault(store: ObjectStore, kind: str, key: str) -> bool:
    """Whether a failed stage gets another attempt because its last failure was a machine's."""
    found = read_failures(store, kind, key)
    faults = sum(bool(f.get("hardware")) for f in found)
    if not found or not found[-1].get("hardware") or faults > MAX_MOVES:
        return False
    retry(store, kind, key)
    return True
