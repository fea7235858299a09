"""Stage copies of data sets: `python -m runtime data add NAME|ALL... --store URL (--from DIR | --fetch)`.
Check one: `python -m runtime data check NAME --from DIR [--against NAME=DIR]`, see `runtime/datasets/copy_check.py`.

`add` prints one JSON object a data set: {"name", "digest", "files", "rows"}, and for a user data set "own", the entry of
`data.own` in a spec. Every row is read before anything is stored. The digest depends on the files alone, so adding the same
copy twice, from any folder, changes nothing.

`--fetch` downloads the ICWSM 2014 ratings, which lie in the source distribution of vaderSentiment 2.5 on PyPI. pip does it,
as it knows the mirrors, proxies and certificates of this machine. The hash is pinned here, and pip compares it before it
unpacks or runs anything of the archive (pip then asks the archive's setup.py for its name). Nothing else is downloaded: no
dependencies, and no build tools, which pip would take without a hash; setuptools must be installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidData, Unreachable, UsageError
from c2f_spec.spec.datasets import DATASETS as KNOWN
from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset
from runtime.commands import Parser, exit_code
from runtime.datasets import DATASETS, RECORDED, find_dataset, icwsm2014, user_folder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from c2f_spec.store.protocol import ObjectStore


SDIST = "vaderSentiment==2.5 --hash=sha256:b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84"
NESTED = "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
FOLDER = "hutto_ICWSM_2014"
PIP = (
    "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--retries", "2", "--require-hashes",
    "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
)  # fmt: skip
INCOMING = "incoming"
"""Folder of the store in which a copy is assembled."""


def main(argv: Sequence[str]) -> int:
    """Return the exit code; print a problem as one message on stderr."""

    def command() -> None:
        args = _parser().parse_args(argv)
        try:
            (_check if args.verb == "check" else _add)(args)
        except OSError as error:
            raise _copy_failed(error) from error

    return exit_code(command)


def _add(args: argparse.Namespace) -> None:
    store = open_store(args.store)
    names = FETCHED if "ALL" in args.names else tuple(dict.fromkeys(args.names))
    if args.fetch:
        _assert_fetchable(names)
    elif not args.copy.is_dir():
        raise UsageError(f"folder not found: {args.copy}", hint="set `--from` to the folder with your copy")
    with _scratch(store) as scratch:
        fetched: dict[str, Path] = {}
        for name in names:
            reader = KNOWN[name].reader if args.fetch else ""
            if args.fetch and reader not in fetched:
                folder = scratch / reader
                folder.mkdir()
                fetched[reader] = FETCH[reader](folder)
            source = fetched[reader] if args.fetch else args.copy
            print(json.dumps(add(store, name, source, scratch)), flush=True)


def _assert_fetchable(names: Sequence[str]) -> None:
    """Raise `UsageError` for a data set that is unknown, or that its authors do not let others download."""
    for name in names:
        if name not in KNOWN:
            raise UsageError(
                f"unknown data set `{name}`",
                hint=f"use ALL, or some of: {', '.join(FETCHED)}; your own by --from DIR",
            )
        if name not in FETCHED:
            raise UsageError(
                f"`{name}` cannot be downloaded: its authors give it on request",
                hint=f"get a copy ({DATASETS[KNOWN[name].reader].SOURCE}), and stage it by `--from DIR --accept-terms`",
            )


@contextmanager
def _scratch(store: ObjectStore) -> Iterator[Path]:
    """Yield a folder on the store's disk if there is one, from where files are moved; `gc` removes what a kill leaves."""
    place = store.local(INCOMING)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            yield Path(scratch)
    finally:
        if place is not None:
            with suppress(OSError):  # another process assembles a copy
                place.rmdir()


def _copy_failed(error: OSError) -> Unreachable:
    return Unreachable(
        f"cannot copy the data set: {error.strerror or error}: {error.filename2 or error.filename}",
        hint="free disk space there, or for a store in a bucket set TMPDIR to another disk",
    )


def add(store: ObjectStore, name: str, source: Path, scratch: Path) -> dict[str, Any]:
    """Stage the files of data set `name` in `source`, and return what is printed."""
    kind = find_dataset(name, source).reader
    reader = DATASETS[kind]
    is_user_data = reader is user_folder
    files = [user_folder.HEADER, user_folder.TABLE] if is_user_data else [reader.FILES[name]]
    for file in files:
        if not (source / file).is_file():
            raise InvalidData(
                f"file not found: {source / file}",
                hint=f"set `--from` to the folder with {file}; its source is {reader.SOURCE}",
            )
    rows = reader.read(name, source)
    wanted = [source / file for file in files]
    if kind in RECORDED:
        wanted += dict.fromkeys(RECORDED[kind].clip_path(name, source, row) for row in rows)
    folder = scratch / name
    for path in wanted:
        copy = folder / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    facts = {"name": name, "source": reader.SOURCE, "licence": reader.LICENCE, "rows": len(rows)}
    digest = add_dataset(store, name, folder, facts)
    result: dict[str, Any] = {"name": name, "digest": digest, "files": len(wanted), "rows": len(rows)}
    if is_user_data:
        declared = user_folder.declare(user_folder.read_header(name, source), rows)
        result["own"] = declared.model_dump(mode="json", exclude_none=True, exclude={"seconds"})
    return result


def _check(args: argparse.Namespace) -> None:
    from runtime.datasets.copy_check import check

    others = {}
    for word in args.against:
        other, sign, place = word.partition("=")
        if not sign:
            raise UsageError(
                f"`{word}` is not NAME=DIR", hint="write for example `--against ch-sims=/data/ch-sims`"
            )
        others[other] = Path(place)
    print(json.dumps(check(args.name, args.copy, others), ensure_ascii=False))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m runtime data", description="Stage copies of data sets into a store.")
    verbs = parser.add_subparsers(required=True, metavar="add|check", dest="verb")
    verb = verbs.add_parser("add", help="stage copies of data sets")
    verb.add_argument("names", nargs="+", metavar="NAME", help="data sets, or ALL")
    verb.add_argument("--store", required=True, metavar="URL", help="root of the store")
    origin = verb.add_mutually_exclusive_group(required=True)
    origin.add_argument(
        "--from", dest="copy", type=Path, metavar="DIR", help="a folder with the files as distributed"
    )
    origin.add_argument("--fetch", action="store_true", help="download them, where the terms allow it")
    verb = verbs.add_parser("check", help="compare a copy with what is published")
    verb.add_argument("name", metavar="NAME", help="a data set")
    verb.add_argument("--from", dest="copy", type=Path, required=True, metavar="DIR", help="the copy")
    verb.add_argument("--against", action="append", default=[], metavar="NAME=DIR", help="another copy")
    return parser


def icwsm2014_ratings(scratch: Path) -> Path:
    """Download into `scratch` and return the folder with the four files. Raises `Unreachable` without a network."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{SDIST}\n")
    done = subprocess.run(
        [sys.executable, *PIP, "--dest", str(scratch), "--requirement", str(requirements)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _failed(done.stderr)
    return unpack(scratch / "vaderSentiment-2.5.tar.gz", scratch)


def unpack(sdist: Path, scratch: Path) -> Path:
    """Extract the files of ratings from the archive inside the archive, and return their folder."""
    wanted = {f"{FOLDER}/{file}" for file in icwsm2014.FILES.values()}
    try:
        with tarfile.open(sdist) as outer:
            inner_file = outer.extractfile(NESTED)
            assert inner_file is not None
            with tarfile.open(fileobj=inner_file) as inner:
                # Read, not extracted: the `filter` that makes extraction safe came with Python 3.11.4.
                for member in inner:
                    file = inner.extractfile(member) if member.name in wanted else None
                    if file is not None:
                        (scratch / FOLDER).mkdir(parents=True, exist_ok=True)
                        (scratch / member.name).write_bytes(file.read())
    except (OSError, KeyError, tarfile.TarError) as error:
        raise InvalidData(
            f"{NESTED} not found in {sdist.name}: {error}", hint="report this: the hash is pinned"
        ) from error
    return scratch / FOLDER


def _failed(stderr: str) -> InvalidData | Unreachable:
    if "DO NOT MATCH THE HASHES" in stderr:
        return InvalidData(
            "the vaderSentiment 2.5 that was downloaded is not the one pinned in runtime/commands/data.py",
            hint="do not use it; report it to the administrator of your package index",
        )
    lines = [line for line in stderr.splitlines() if "ERROR" in line or "No module named" in line]
    reason = lines[-1].removeprefix("ERROR: ").strip() if lines else "pip failed without a reason"
    return Unreachable(
        f"cannot download vaderSentiment 2.5 from the package index: {reason}",
        hint="with no network, put the `*_GroundTruth.txt` files (in that archive: "
        f"{NESTED.split('/', 1)[1]}) into a folder ./icwsm2014 and run: c2f-spec data add NAME... --from ./icwsm2014",
    )


FETCH: dict[str, Callable[[Path], Path]] = {"icwsm2014": icwsm2014_ratings}
"""Function that downloads a data set's files, by `Dataset.reader`."""
FETCHED = tuple(name for name, facts in KNOWN.items() if facts.reader in FETCH)
"""Data sets that `ALL` stands for."""
