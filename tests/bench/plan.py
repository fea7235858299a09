"""Plan of 1,000 variants against a store of 5,000 records, and diff of 50 changed specs: whole processes, cold.

The limits are the issue's. The store is on this disk; the requests that a store on a network would get are counted by
tests/plan/test_annotate.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from c2f_spec.plan.compile import compile_plan, load_environment, load_variants
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from tests.bench.measuring import ROOT, ProcessTime, median_of_processes, temporary_folder
from tests.bench.sweep import SWEEP

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 5
RECORDS, SPECS, CHANGED = 5000, 60, 50
PART, OTHERS = 600, 3
"""Stages of the planned sweep that are stored, and other sweeps beside it, in whole."""
PLAN_SECONDS, DIFF_SECONDS = 5.0, 3.0
GIT = {f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def main() -> None:
    with temporary_folder() as root:
        (root / ".git").mkdir()
        planned, stages, done = plan_seconds(root)
    with temporary_folder() as root:
        compared = diff_seconds(root)
    print(f"median of {ROUNDS} whole processes")
    print(
        f"  plan of 1,000 variants, {stages:,} stages of which {done:,} are stored, against {RECORDS:,} records: {planned} (at most {PLAN_SECONDS:.0f} s)"
    )
    print(
        f"  diff of two revisions, {CHANGED} of {SPECS} specs changed: {compared} (at most {DIFF_SECONDS:.0f} s)"
    )
    if planned.seconds > PLAN_SECONDS or compared.seconds > DIFF_SECONDS:
        sys.exit("over the limit")


def plan_seconds(root: Path) -> tuple[ProcessTime, int, int]:
    """Time, stages, and how many of them are stored."""
    shutil.copytree(ROOT / "specs", root / "specs")
    tenths = ", ".join(f"0.{i}" for i in range(10))
    (root / "specs" / "1000.yaml").write_text(SWEEP.format(betas=tenths))
    for k in range(1, OTHERS + 1):
        (root / "specs" / f"other{k}.yaml").write_text(SWEEP.format(betas=tenths.replace(",", f"{k},")))
    fill(root)
    seconds, out = median_of_processes(root, ROUNDS, "plan", "specs/1000.yaml", "-o", "json")
    stages = json.loads(out)["stages"]
    assert any("->" in s["reason"] for s in stages)
    return seconds, len(stages), sum(s["action"] == "reuse" for s in stages)


def fill(root: Path) -> None:
    """Commit `RECORDS` stages: a part of the sweep that is planned, and another sweep beside it."""
    objects = open_store(str(root / ".c2f" / "store"))
    environment = load_environment("local", ROOT, None)
    stages = {}
    for spec in ("1000", *(f"other{k}" for k in range(1, OTHERS + 1))):
        plan = compile_plan(load_variants(root / "specs" / f"{spec}.yaml"), None, environment, "local")
        stages |= {s.key: s for s in plan.stages[: PART if spec == "1000" else None]}
    chosen = list(stages.values())[:RECORDS]
    records.save_preimages(objects, [(s.kind, s.key, s.preimage) for s in chosen])
    for stage in chosen:
        known = {"kind": stage.kind, "key": stage.key, "attempt": "a", "nonce": "n"}
        record = Record(**known, files={}, summary={}, provenance={})
        objects.create(records.record_name(stage.kind, stage.key), records.record_bytes(record))
    assert len(stages) >= RECORDS, f"only {len(stages)} stages to store"


def diff_seconds(root: Path) -> ProcessTime:
    for folder in ("specs", "k8s"):
        shutil.copytree(ROOT / folder, root / folder)
    base = (root / "specs" / "sims_hint.yaml").read_text()
    for i in range(SPECS):
        (root / "specs" / f"e{i}.yaml").write_text(
            base.replace("name: sims-hint", f"name: e{i}").replace("beta: 0.1", f"beta: 0.1{i:02d}")
        )
    git(root, "init", "-q", "-b", "main")
    commit(root)
    for i in range(CHANGED):
        path = root / "specs" / f"e{i}.yaml"
        path.write_text(path.read_text().replace(f"beta: 0.1{i:02d}", f"beta: 0.2{i:02d}"))
    commit(root)
    seconds, out = median_of_processes(root, ROUNDS, "diff", "main~1..main", "-o", "json")
    assert len(json.loads(out)["specs"]) == CHANGED
    return seconds


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, env={**os.environ, **GIT})


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "specs")
