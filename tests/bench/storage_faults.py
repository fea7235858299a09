"""A storage that fails: whole runs through `tests.support.fault_proxy`, every tenth request of which goes wrong.

Fifty runs of three stages without torch and three of specs/smoke.yaml (`FAULTS=n` multiplies), four at a time. Each
must end, committed and with the files of a run without faults; meanwhile a reader that goes straight to the server
verifies every record as soon as it is there.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from c2f_spec.store import records
from c2f_spec.store.open import open_store
from tests.bench.measuring import c2f, temporary_folder
from tests.conftest import HERE, REPOSITORY, TINY_SPEC
from tests.support.fault_proxy import Proxy
from tests.support.servers import BUCKET, env_of, seaweed

if TYPE_CHECKING:
    from pathlib import Path

    from c2f_spec.spec.handoff import Record

TIMES = int(os.environ.get("FAULTS", "1"))
RATE = 0.1
AT_ONCE = 4
LONGEST = 600.0
"""Seconds after which a run counts as one that waits for ever."""
DATA = "icwsm2014-movie"
VARYING = ("metrics.jsonl", "timings.json")
"""Files with times in them."""


def main() -> None:
    with temporary_folder() as folder, seaweed(folder / "server") as server:
        os.environ.update(server.env)
        for name, spec, count in (
            ("tiny", TINY_SPEC, 50 * TIMES),
            ("smoke", (REPOSITORY / "specs" / "smoke.yaml").read_text(), 3 * TIMES),
        ):
            storm(folder, server.port, name, spec, count)


def storm(folder: Path, port: int, name: str, spec: str, count: int) -> None:
    """`count` runs of a spec; prints what happened, raises `AssertionError` if any of it is wrong."""
    reference = _outputs(_run(folder / f"{name}-reference", spec, port)[0])
    proxies = [Proxy(port, RATE, seed=seed).start() for seed in range(count)]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(lambda i: _run(folder / f"{name}-{i}", spec, proxies[i].port), range(count)))
    faults: Counter[str] = sum(
        (Counter({f.value: n for f, n in p.faults.items()}) for p in proxies), Counter()
    )
    print(f"{name}: {count} runs, {sum(p.requests for p in proxies)} requests, {faults.total()} faults")
    for fault, times in sorted(faults.items()):
        print(f"  {times:5} x {fault}")
    seconds = sorted(run[1] for run in runs)
    times = f"{seconds[0]:.0f} to {seconds[-1]:.0f} s (median {seconds[len(seconds) // 2]:.0f})"
    print(f"  each took {times}; all of them {time.monotonic() - started:.0f} s")
    verified = sum(run[2] for run in runs)
    wrong = [place for place, _, _ in runs if _outputs(place) != reference]
    print(f"  {count - len(wrong)} of {count} committed the files of a run without faults")
    print(f"  {verified} records were verified in the moment they appeared: all their files were whole")
    assert not wrong, wrong


def _run(folder: Path, spec: str, port: int) -> tuple[str, float, int]:
    """One `apply` in a repository and a store of its own: the store's address, seconds, records that were verified."""
    (folder / "specs").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "specs" / "run.yaml").write_text(spec)
    place = f"s3://{BUCKET}/{folder.name}"
    (folder / "here.yaml").write_text(f"c2f: v1\nkind: local\nstore: {place}\nparallel: 2\ndemo: true\n")
    copy = folder / "incoming"
    copy.mkdir()
    file = "movieReviewSnippets_GroundTruth.txt"
    (copy / file).write_bytes((HERE / "data" / "icwsm2014" / file).read_bytes())
    records.add_dataset(open_store(place), DATA, copy, {"name": DATA})
    with _Reader(place) as reader:
        started = time.monotonic()
        command = c2f("apply", "specs/run.yaml", "--on", "here", "--environments", ".")
        variables = {"C2F_HOME": str(folder / "home"), "PYTHONPATH": str(REPOSITORY)}
        env = {**os.environ, **env_of(port), **variables}
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST, env=env
        )
        seconds = time.monotonic() - started
    assert done.returncode == 0, f"{place} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return place, seconds, reader.verified


class _Reader:
    """Reads every record as soon as it is there, and what it names; it shares nothing with the run."""

    def __init__(self, place: str) -> None:
        self.verified = 0
        self._objects, self._end, self._errors = open_store(place), threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._errors:
            raise self._errors[0]

    def _read(self) -> None:
        known: set[str] = set()
        last = False
        try:
            while not last:
                last = self._end.wait(0.2)
                for name in set(self._objects.names("records")) - known:
                    record = _record(self._objects.url, name)
                    records.verify(self._objects, record)
                    known.add(name)
                    self.verified += 1
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            self._errors.append(error)


def _record(place: str, name: str) -> Record:
    _, kind, file = name.split("/")
    record = records.read_record(open_store(place), kind, file.removesuffix(".json"))
    assert record is not None
    return record


def _outputs(place: str) -> dict[str, dict[str, str]]:
    """Name of each record to the digests of its files, all of them verified."""
    found = {}
    objects = open_store(place)
    for name in objects.names("records"):
        record = _record(place, name)
        records.verify(objects, record)
        found[name] = {path: e.blake3 for path, e in record.files.items() if path not in VARYING}
    return found
