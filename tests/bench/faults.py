"""Fifty kills at random moments; prints what was found. Exit 1 if anything was wrong."""

from __future__ import annotations

import shutil
import time

from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset
from tests.bench.measuring import exit_with, temporary_folder
from tests.conftest import DOMAINS, HERE, TINY_SPEC
from tests.support.faults import ENVIRONMENT, processes_in, storm

KILLS = 50


def main() -> None:
    with temporary_folder() as root:
        (root / ".git").mkdir()
        (root / "specs").mkdir()
        (root / "local.yaml").write_text(ENVIRONMENT)
        spec = root / "specs" / "tiny.yaml"
        spec.write_text(TINY_SPEC)
        (root / "incoming").mkdir()
        shutil.copy(HERE / "data" / "icwsm2014" / f"{DOMAINS['movie']}_GroundTruth.txt", root / "incoming")
        name, store = "icwsm2014-movie", open_store(str(root / ".c2f" / "store"))
        add_dataset(store, name, root / "incoming", {"name": name})
        start = time.monotonic()
        found = storm(root, spec, kills=KILLS, seed=int(time.time()), longest=4.0)
        left = processes_in(root)
    print(
        f"{found.kills} kills in {time.monotonic() - start:.0f} s, {found.killed_everything} of them of every process"
    )
    print(f"stages that outlived their apply: {found.stages_left_running}")
    print(
        f"records that were not whole, changed or vanished: {len(found.wrong)}; processes left: {len(left)}"
    )
    exit_with([*found.wrong, *(f"process {pid} is left" for pid in left)])
