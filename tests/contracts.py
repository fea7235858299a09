"""`python -m tests.contracts`: write what this version hands over, to tests/data/contracts/<version>/, once a release.

The files of every release stay, and tests/plan/test_contracts.py reads them all: a plan that was reviewed, a Job that waits
in a queue and a record of last year are met by a newer program.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import c2f_spec
from c2f_spec.plan.keys import ExperimentSource, build_plan
from c2f_spec.plan.plan_file import to_json
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.spec.handoff import FileEntry, Input, Record, StageFile
from c2f_spec.spec.plan_json import PlanRequest
from c2f_spec.store import records
from tests.conftest import load_spec
from tests.plan.test_plan import PINS

FOLDER = Path(__file__).parent / "data" / "contracts"
SPEC = Path(__file__).parent.parent / "specs" / "smoke.yaml"


def write(folder: Path) -> None:
    """plan.json, stage.json and record.json of the smoke spec, made up where only a run could tell."""
    loaded = load_spec(SPEC)
    here = LocalEnvironment(c2f="v1", kind="local", store=".c2f/store", demo=True)
    plan = build_plan(
        [ExperimentSource(loaded.experiment, loaded.source, "specs/smoke.yaml", PINS)], PINS, here, "local"
    )
    stages = tuple(replace(s, action="run", reason="never run") for s in plan.stages)
    plan = replace(plan, stages=stages, request=PlanRequest(specs=("specs/smoke.yaml",)))
    grpo = next(s for s in plan.stages if s.kind == "grpo")
    inputs = {role: Input(kind=plan.stage(key).kind, key=key) for role, key in grpo.inputs.items()}
    stage = StageFile(
        kind=grpo.kind, key=grpo.key, name=grpo.name, preimage=grpo.preimage, placement=grpo.placement,
        inputs=inputs, store="s3://bucket/c2f", scratch="/scratch",
    )  # fmt: skip
    record = Record(
        kind=grpo.kind, key=grpo.key, attempt="0" * 32, nonce="1" * 32,
        files={"model.safetensors": FileEntry(size=12, blake3="2" * 64)}, summary={"steps": 2, "loss": 0.5},
        provenance={"seconds": {"start": 1.0, "work": 2.0}, "started": "2026-11-22T08:00:00+00:00"},
    )  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(to_json(plan), indent=1, ensure_ascii=False) + "\n")
    (folder / "stage.json").write_text(stage.model_dump_json(indent=1) + "\n")
    (folder / "record.json").write_bytes(records.record_bytes(record))


def main() -> None:
    folder = FOLDER / c2f_spec.VERSION
    if folder.exists() and sys.argv[1:] != ["--again"]:
        sys.exit(
            f"{folder} is there: what was released is not written again (--again: it was not released yet)"
        )
    shutil.rmtree(folder, ignore_errors=True)
    write(folder)
    print(folder)


if __name__ == "__main__":
    main()
