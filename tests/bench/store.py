"""Throughput of storage on loopback, ours beside the best clients at hand, in one run against one SeaweedFS.

A file of 1 GB and 2,000 files of 300 KB, up and down, each by a process of its own, whose memory is the most it held;
best of two rounds, every byte that came down compared. Ours packs small files into shards, verifies what it fetches by
BLAKE3 and files it into its cache; the others only move bytes.
"""

from __future__ import annotations

import filecmp
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.measuring import ROOT, temporary_folder
from tests.support.servers import BUCKET, KEY, SECRET, seaweed

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = 1_000_000_000
MANY, SMALL = 2_000, 300_000
"""Files and bytes of each."""
ROUNDS = 2
CLIENTS = ("ours", "obstore", "s5cmd", "rclone")


@dataclass(frozen=True)
class Measured:
    """Megabytes a second, and the most memory held, in MB."""

    rate: float
    memory: float


def main() -> None:
    with temporary_folder() as folder, seaweed(folder / "server") as server:
        os.environ.update(server.env, C2F_CACHE_GB="50")
        _make(folder / "large", 1, LARGE)
        _make(folder / "many", MANY, SMALL)
        found: dict[tuple[str, str], dict[str, Measured]] = {}
        for round_ in range(ROUNDS):
            for data in ("large", "many"):
                for client in CLIENTS:
                    for way, measured in zip(
                        ("up", "down"), _measure(folder, client, data, round_), strict=True
                    ):
                        row = found.setdefault((data, way), {})
                        row[client] = max(measured, row.get(client, measured), key=lambda m: m.rate)
    for (data, way), row in found.items():
        size = "1 GB in one file" if data == "large" else f"{MANY} files of {SMALL // 1000} KB"
        best = max(m.rate for client, m in row.items() if client != "ours")
        rates = ", ".join(f"{client} {m.rate:.0f} MB/s ({m.memory:.0f} MB)" for client, m in row.items())
        print(f"{size:22} {way:4} {rates}; ours is {row['ours'].rate / best:.2f} of the best other")


def _measure(folder: Path, client: str, data: str, round_: int) -> tuple[Measured, Measured]:
    """Up, then down; raises `AssertionError` if what came down is not what went up."""
    source, target = folder / data, folder / "down"
    prefix = f"{client}-{data}-{round_}"
    size = LARGE if data == "large" else MANY * SMALL
    up = _timed(_command(client, "up", source, prefix), size, folder)
    down = _timed(_command(client, "down", target, prefix), size, folder)
    found = target / "out" if client == "ours" else target
    names = sorted(p.name for p in source.iterdir())
    assert sorted(p.name for p in found.iterdir()) == names, f"{client} lost files"
    for name in names:
        assert filecmp.cmp(found / name, source / name, shallow=False), f"{client} damaged {name}"
    shutil.rmtree(target)
    return up, down


def _timed(argv: Sequence[str], size: int, folder: Path) -> Measured:
    env = {**os.environ, "C2F_HOME": str(folder / "down" / "home"), "PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    assert os.waitstatus_to_exitcode(status) == 0, argv
    return Measured(size / 1e6 / seconds, usage.ru_maxrss / 1024)


def _command(client: str, way: str, local: Path, prefix: str) -> list[str]:
    remote = f"{BUCKET}/{prefix}"
    programs = Path(sys.executable).parent
    if client == "s5cmd":
        endpoint = ["--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]
        ends = [f"{local}/", f"s3://{remote}/"] if way == "up" else [f"s3://{remote}/*", f"{local}/"]
        return [str(programs / "s5cmd"), *endpoint, "--log", "error", "cp", "--concurrency", "8", *ends]
    if client == "rclone":
        place = f":s3,provider=Other,access_key_id={KEY},secret_access_key={SECRET},endpoint='{os.environ['AWS_ENDPOINT_URL']}':"
        ends = [str(local), place + remote] if way == "up" else [place + remote, str(local)]
        return [str(programs / "rclone"), "--config", os.devnull, "copy", "--transfers", "12", *ends]
    return [sys.executable, "-m", "tests.bench.store", client, way, str(local), prefix]


def ours(way: str, local: Path, prefix: str) -> None:
    from c2f_spec.spec.handoff import FileEntry
    from c2f_spec.store.cache import fetch_verified
    from c2f_spec.store.digest import read_sealed, seal
    from c2f_spec.store.open import open_store

    objects = open_store(f"s3://{BUCKET}/{prefix}")
    if way == "up":
        layout = objects.put_folder(local, "files")
        objects.create("layout.json", seal({"files": {p: e.model_dump() for p, e in layout.items()}}))
        return
    listing = read_sealed(objects, "layout.json", "")
    assert listing is not None
    local.mkdir(parents=True, exist_ok=True)
    files = {path: FileEntry(**entry) for path, entry in listing["files"].items()}
    view = fetch_verified(objects, "files", files, None, "")
    view.rename(local / "out")  # the bytes are compared after this process has ended


def obstore(way: str, local: Path, prefix: str) -> None:
    """The client as it is: parts of 16 MB, twelve small files at a time, nothing verified."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(BUCKET, prefix=prefix, client_options={"allow_http": True})

    def down(meta: dict[str, object]) -> None:
        path, size, part = str(meta["path"]), int(str(meta["size"])), 16 << 20
        if size <= part:
            (local / path).write_bytes(obstore.get(store, path).bytes())
            return
        descriptor = os.open(local / path, os.O_RDWR | os.O_CREAT)
        with ThreadPoolExecutor(6) as parts:
            starts = range(0, size, part)
            list(parts.map(lambda at: os.pwrite(descriptor, obstore.get_range(store, path, start=at, length=min(part, size - at)), at), starts))  # fmt: skip
        os.close(descriptor)

    with ThreadPoolExecutor(12) as pool:
        if way == "up":
            list(pool.map(lambda path: obstore.put(store, path.name, path), local.iterdir()))
        else:
            local.mkdir(parents=True, exist_ok=True)
            list(pool.map(down, [meta for page in obstore.list(store) for meta in page]))


def _make(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    numbers = random.Random(0)
    for i in range(count):
        with (folder / f"{i:05}.bin").open("wb") as file:
            for start in range(0, size, 1_000_000):
                file.write(numbers.randbytes(min(1_000_000, size - start)))


if __name__ == "__main__":
    {"ours": ours, "obstore": obstore}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), sys.argv[4])
