"""Stage weights: `python -m runtime model add REPOSITORY@REVISION --store URL --from DIR|hf|modelscope [--at NAME]`.

Prints one JSON object: {"name", "digest", "files", "bytes", "left_out"}. Needs no torch. The digest depends on the files
alone, so adding the same copy twice, from any source, changes nothing.

Downloads lie below `$C2F_HOME/incoming` until all are in the store; a call after a killed one continues there.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import Unreachable, UsageError
from c2f_spec.store.machine import home
from c2f_spec.store.model_weights import add_model, check_file, choose_files
from c2f_spec.store.open import open_store
from c2f_spec.store.transfer import map_parallel
from runtime.commands import Parser, exit_code
from runtime.hub import HUBS, download

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from runtime.hub import Hub, RemoteFile

PARALLEL_FILES = 4
"""Files that are downloaded at once: one connection seldom fills the line."""
LOG_SECONDS = 10.0
"""Seconds between two reports of progress."""


def main(argv: Sequence[str]) -> int:
    def command() -> None:
        args = _parser().parse_args(argv)
        print(json.dumps(add(args.name, args.store, args.source, args.at)), flush=True)

    return exit_code(command)


def add(name: str, url: str, source: str, at: str | None) -> dict[str, Any]:
    """Stage `name` (repository@revision) from a hub or a folder, and return what is printed."""
    store = open_store(url)
    repository, _, revision = name.partition("@")
    if source in HUBS:
        incoming = home() / "incoming" / source / repository / revision
        files, left_out = _downloaded_files(HUBS[source], repository, at or revision, incoming)
    else:
        files, left_out = _local_files(Path(source))
    for file in files.values():
        check_file(file)
    digest = add_model(store, name, files, _log, may_link=source in HUBS)
    size = sum(file.stat().st_size for file in files.values())
    if source in HUBS:
        shutil.rmtree(incoming)
    return {"name": name, "digest": digest, "files": len(files), "bytes": size, "left_out": list(left_out)}


def _local_files(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the files of a model in a folder, and those left out."""
    if not folder.is_dir():
        raise UsageError(f"folder not found: {folder}", hint="set `--from` to a folder, `hf` or `modelscope`")
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    chosen = choose_files(str(folder), names, lambda n: (folder / n).read_bytes())
    return {n: folder / n for n in chosen.staged}, chosen.left_out


def _downloaded_files(
    hub: Hub, repository: str, revision: str, incoming: Path
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Download the files of a repository to `incoming`, and return them and those left out."""
    listed = {file.path: file for file in hub.files(repository, revision)}
    incoming.mkdir(parents=True, exist_ok=True)

    def read(path: str) -> bytes:
        download(hub, repository, revision, listed[path], incoming / path, lambda _: None)
        return (incoming / path).read_bytes()

    chosen = choose_files(f"{repository}@{revision}", listed.keys(), read)
    wanted = [listed[path] for path in chosen.staged]
    _check_space(wanted, incoming)
    progress = _Progress(sum(file.size for file in wanted))
    map_parallel(
        lambda file: download(hub, repository, revision, file, incoming / file.path, progress.add),
        sorted(wanted, key=lambda file: file.size),
        at_once=PARALLEL_FILES,
    )
    return {file.path: incoming / file.path for file in wanted}, chosen.left_out


def _check_space(wanted: Sequence[RemoteFile], incoming: Path) -> None:
    """Raise `Unreachable` if the disk has too little space, before hours of downloading."""
    present = sum(p.stat().st_size for p in incoming.iterdir() if p.is_file())
    needed, free = sum(file.size for file in wanted) - present, shutil.disk_usage(incoming).free
    if needed > free:
        raise Unreachable(
            f"not enough disk space: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free in {incoming}",
            hint="free disk space there, or set C2F_HOME to another disk",
        )


class _Progress:
    """Logs the progress of downloads every ten seconds."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._last = total, 0, time.monotonic()
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            if time.monotonic() - self._last >= LOG_SECONDS:
                self._last = time.monotonic()
                _log(f"{self._done / 1e9:,.2f} of {self._total / 1e9:,.2f} GB downloaded")


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m runtime model", description="Stage weights into a store.")
    verbs = parser.add_subparsers(required=True, metavar="add", dest="verb")
    verb = verbs.add_parser("add", help="stage the weights of a model")
    verb.add_argument("name", metavar="REPOSITORY@REVISION", help="what specs call it")
    verb.add_argument("--store", required=True, metavar="URL", help="root of the store")
    verb.add_argument(
        "--from", dest="source", required=True, metavar="DIR|hf|modelscope", help="where it comes from"
    )
    verb.add_argument("--at", metavar="NAME", help="what the hub calls that revision, if it is another name")
    return parser
