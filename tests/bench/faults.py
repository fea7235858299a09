"""Fifty kills at random moments; prints what was found. Exit 1 if anything was wrong."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset
from tests.conftest import DOMAINS, HERE, TINY_SPEC
from tests.support.faults import ENVIRONMENT, processes_in, storm

KILLS = 50


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / ".git").mkdir()
        (root / "specs").mkdir()
        (root / "local.yaml").write_text(ENVIRONMENT)
        spec = root / "specs" / "tiny.yaml"
        spec.write_text(TINY_SPEC)
        (root / "incoming").mkdir()
        shutil.copy(HERE / "data" / "icwsm2014" / f"{DOMAINS['movie']}_GroundTruth.txt", root / "incoming")
        add_dataset(
            open_store(str(root / ".c2f" / "store")),
            "icwsm2014-movie",
            root / "incoming",
            {"name": "icwsm2014-movie"},
        )
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
    print("\n".join(found.wrong))
    sys.exit(1 if found.wrong or left else 0)
