"""Concurrent attempts at one stage: two and eight processes commit different files at the same moment.

200 rounds in a folder, 20 on SeaweedFS (`FAULTS=n` multiplies). Each round must leave exactly one record, which all of
them get, and whose files are those of the one that won.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.open import open_store
from tests.bench.measuring import temporary_folder
from tests.support.servers import BUCKET, seaweed

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

TIMES = int(os.environ.get("FAULTS", "1"))
FILES = 12


def main() -> None:
    with temporary_folder() as folder, seaweed(folder / "server") as server:
        os.environ.update(server.env, C2F_HOME=str(folder / "home"))
        for count in (2, 8):
            for place, rounds in ((str(folder / f"store-{count}"), 200), (f"s3://{BUCKET}/{count}", 20)):
                race(place, count, rounds * TIMES)


def race(place: str, count: int, rounds: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(count + 1), spawn.Queue()
    racers = [spawn.Process(target=_attempts, args=(place, rounds, i, start, results)) for i in range(count)]
    for racer in racers:
        racer.start()
    objects, wins, began = open_store(place), dict.fromkeys(range(count), 0), time.monotonic()
    for number in range(rounds):
        start.wait()
        nonces = dict(results.get() for _ in range(count))
        key = _key(number)
        record = records.read_record(objects, "sft", key)
        assert record is not None
        assert set(nonces.values()) == {record.nonce}, f"round {number}: not all got the one record"
        folder = records.fetch(objects, record)
        winner = int(record.attempt.split("-")[0])
        assert all((folder / f"{i}.txt").read_text() == record.attempt for i in range(FILES))
        wins[winner] += 1
    for racer in racers:
        racer.join()
    kind, seconds = "S3" if "://" in place else "file", time.monotonic() - began
    print(f"{count} attempts at once, {kind}: {rounds} rounds in {seconds:.0f} s, one record in each")
    print(f"  wins by attempt: {', '.join(map(str, wins.values()))}")


def _attempts(place: str, rounds: int, number: int, start: Barrier, results: Any) -> None:
    objects = open_store(place)
    for round_ in range(rounds):
        attempt = f"{number}-{uuid.uuid4().hex}"
        out = Path(tempfile.mkdtemp())
        for i in range(FILES):
            (out / f"{i}.txt").write_text(attempt)
        known = {"kind": "sft", "key": _key(round_), "attempt": attempt, "nonce": uuid.uuid4().hex}
        record = Record(**known, files=digest_folder(out), summary={}, provenance={})
        start.wait()
        results.put((number, records.commit(objects, record, out).nonce))
        shutil.rmtree(out, ignore_errors=True)


def _key(number: int) -> str:
    return f"{number:064x}"
