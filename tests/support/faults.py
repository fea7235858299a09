"""Kill `apply` at random moments and look at what it leaves behind. `make faults` runs many, the tests a few."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.store.protocol import ObjectStore


@dataclass
class Findings:
    """What a storm of kills showed."""

    kills: int = 0
    killed_everything: int = 0
    stages_left_running: int = 0
    committed: dict[str, bytes] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def storm(repository: Path, spec: Path, *, kills: int, seed: int, longest: float) -> Findings:
    """Kill `apply` at `kills` random moments up to `longest` seconds after its start, then let it finish.

    Half of the time only `apply` is killed, half of the time every process that works in the repository. Each time
    the store is inspected: a record must stand for whole files, and one that stood must not have changed.
    """
    rng = random.Random(seed)
    objects = store_of(repository)
    found = Findings()
    for _ in range(kills):
        child = apply(repository, spec)
        time.sleep(rng.uniform(0.05, longest))
        everything = rng.random() < 0.5
        kill(child)
        if everything:
            kill_all_in(repository)
        else:
            found.stages_left_running += len(processes_in(repository))
        found.kills += 1
        found.killed_everything += everything
        inspect(repository, found)
        if rng.random() < 0.4:  # start over, or there would soon be nothing left to do
            kill_all_in(repository)
            forget(objects, found)
    child = apply(repository, spec)
    out, _ = child.communicate(timeout=120)
    if child.returncode:
        found.wrong.append(f"the last apply ended with {child.returncode}:\n{out}")
    inspect(repository, found)
    return found


def apply(repository: Path, spec: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "c2f_spec",
        "apply",
        str(spec),
        "--no-report",
        "--environments",
        str(repository),
    ]
    return subprocess.Popen(
        command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def store_of(repository: Path) -> ObjectStore:
    return open_store(str(repository / ".c2f" / "store"))


def kill(child: subprocess.Popen[str]) -> None:
    """Kill -9 one process; what it started goes on."""
    child.kill()
    child.communicate()


def inspect(repository: Path, found: Findings) -> None:
    """Every record stands for verified files, and is the one that stood before."""
    objects = store_of(repository)
    for name in objects.names("records"):
        kind, key = name.split("/")[1], name.split("/")[2].removesuffix(".json")
        record = records.read_record(objects, kind, key)
        assert record is not None
        try:
            records.verify(objects, record)
        except Exception as error:  # noqa: BLE001  a finding, whatever it is
            found.wrong.append(f"{name}: {error}")
        data = objects.read(name) or b""
        if found.committed.setdefault(name, data) != data:
            found.wrong.append(f"{name} was changed")
    gone = [name for name in found.committed if not objects.exists(name)]
    found.wrong += [f"{name} vanished" for name in gone]


def forget(objects: ObjectStore, found: Findings) -> None:
    """Take the records back, as if nothing had been done; the debris of earlier attempts stays."""
    for name in list(objects.names("records")):
        objects.delete(name)
    found.committed.clear()


def processes_in(folder: Path) -> list[int]:
    """Processes, other than this one, whose current folder is `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if Path(os.readlink(entry / "cwd")) == folder.resolve() and (entry / "exe").exists():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def kill_all_in(folder: Path) -> None:
    while pids := processes_in(folder):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


ENVIRONMENT = "c2f: v1\nkind: local\nstore: .c2f/store\nparallel: 2\ndemo: true\n"
"""`local` without tracking, whose database would take most of the time."""
