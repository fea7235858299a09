"""Stage the files of a model in `models/<repository>/<revision>/<digest>/` of a store, where stages find them.

What no stage reads is left out (pages for people, files that a hub adds for itself), so that a copy has one digest
from wherever it came. Weights are safetensors: a pickle runs code when it is read, and is never staged.

A killed call can be repeated: files that are stored are not sent twice, and `model.json` is written last.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from fnmatch import fnmatch
from typing import TYPE_CHECKING, NamedTuple

from c2f_spec.errors import UsageError
from c2f_spec.store.digest import digest_file, digest_of, seal
from c2f_spec.store.protocol import NAME
from c2f_spec.store.records import model_listing, models_present

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from c2f_spec.store.protocol import ObjectStore

INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
TEXT_FILES = ("*.json", "*.jinja", "merges.txt", "vocab.txt", "*.model", "*.tiktoken")
"""Patterns of configuration, tokenizer and chat template, as the hub's repositories name them."""
IGNORED_FILES = ("configuration.json", ".*")
"""Patterns of files that hubs and git keep beside a model."""
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""The first bytes of a file that was cloned without its content (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
LARGEST_HEADER = 100_000_000
"""Largest header in bytes that the safetensors library accepts."""


class Choice(NamedTuple):
    """The files of a repository that are staged, and those that are not."""

    staged: tuple[str, ...]
    left_out: tuple[str, ...]


def choose_files(where: str, names: Collection[str], read: Callable[[str], bytes]) -> Choice:
    """Return which of the files `names` of `where` are staged; `read` returns the content of a small file.

    Raises `UsageError` unless they are a whole model in safetensors.
    """
    weights = _weights(where, names, read)
    if "config.json" not in names:
        raise UsageError(
            f"{where} is not a model: config.json is missing", hint="a repository as transformers reads it"
        )
    read_too = {
        n
        for n in names
        if any(fnmatch(n, p) for p in TEXT_FILES) and not any(fnmatch(n, p) for p in IGNORED_FILES)
    }
    staged = sorted({*weights, *(n for n in read_too if "/" not in n and NAME.fullmatch(n))})
    return Choice(tuple(staged), tuple(sorted(set(names) - set(staged))))


def _weights(where: str, names: Collection[str], read: Callable[[str], bytes]) -> set[str]:
    """Return the files of tensors: those of the index, or the only one."""
    if INDEX in names:
        try:
            wanted = {str(name) for name in json.loads(read(INDEX))["weight_map"].values()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{where}: {INDEX} is not an index of tensors", hint="copy it again") from None
        if outside := sorted(n for n in wanted if "/" in n):
            raise UsageError(
                f"{where}: {INDEX} names {outside[0]}, which lies elsewhere", hint="copy it again"
            )
        if odd := sorted(n for n in wanted if not NAME.fullmatch(n)):
            raise UsageError(
                f"{where}: {INDEX} names {odd[0]!r}, which no store takes", hint="copy it from elsewhere"
            )
        if missing := sorted(wanted - set(names)):
            raise UsageError(
                f"{where} has no file {missing[0]}, which its index names",
                hint="copy the rest of its files, too",
            )
        return wanted
    if WHOLE in names:
        return {WHOLE}
    if pickled := sorted(n for n in names if n.endswith(PICKLES)):
        raise UsageError(
            f"{where} holds {pickled[0]}, which runs code when it is read, and no safetensors",
            hint="name a revision whose weights are safetensors",
        )
    raise UsageError(
        f"{where} is not a model: {WHOLE} is missing", hint="a repository as transformers reads it"
    )


def check_file(path: Path) -> None:
    """Raise `UsageError` if a staged file is truncated, or its content does not fit its name."""
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UsageError(
                f"{path} is a pointer of Git LFS and not the file itself",
                hint="run `git lfs pull` in that folder, or take `--from hf`",
            )
    if path.suffix == ".safetensors":
        check_tensors(path)
    elif path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not valid JSON: {error}", hint="copy it again") from None


def check_tensors(path: Path) -> None:
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, LARGEST_HEADER)))
        end = max((t["data_offsets"][1] for n, t in header.items() if n != "__metadata__"), default=0)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} holds no tensors: {error}", hint="copy it again") from None
    if 8 + length + end != size:
        raise UsageError(
            f"{path} has {size:,} bytes and should have {8 + length + end:,}", hint="copy it again"
        )


def add_model(
    store: ObjectStore,
    name: str,
    files: Mapping[str, Path],
    log: Callable[[str], None],
    *,
    may_link: bool = False,
) -> str:
    """Store `files`, by their paths in the repository, as a copy of `name` (repository@revision); return its digest.

    With `may_link` a store on the same disk hard-links them instead of a second copy: nothing may write to them later.
    """
    entries = {path: digest_file(file) for path, file in sorted(files.items())}
    digest = digest_of(entries)
    if digest in models_present(store, name):
        return digest
    listed = model_listing(name, digest)
    target = listed.rpartition("/")[0]
    for path, entry in sorted(entries.items(), key=lambda item: item[1].size):
        stored = f"{target}/files/{path}"
        if store.size(stored) == entry.size:  # an object exists whole or not at all
            continue
        log(f"{path}: {entry.size / 1e6:,.1f} MB to the store")
        if not (may_link and _try_hard_link(store, files[path], stored)):
            store.put_file(files[path], stored)
    listing = {path: entry.model_dump(exclude_none=True) for path, entry in entries.items()}
    store.create(listed, seal({"name": name, "files": listing}))
    return digest


def _try_hard_link(store: ObjectStore, file: Path, name: str) -> bool:
    """Hard-link the file into a store on the same disk; return whether that was possible."""
    place = store.local(name)
    if place is None:
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, place)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        return False
    return True
