"""What every release handed over is read by this one, and what another version hands over is refused by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import c2f_spec
from c2f_spec.errors import Exit, InvalidStageSpec, StageExit, StalePlan
from c2f_spec.keys import content_key
from c2f_spec.plan.plan_file import from_json, to_json
from c2f_spec.spec.handoff import Record
from c2f_spec.store.digest import unseal
from runtime.process.stage_file import read_stage_file
from tests.contracts import FOLDER

RELEASES = sorted(FOLDER.iterdir())
ROOT = Path(__file__).parents[2]


def test_this_version_has_its_fixtures():
    assert c2f_spec.VERSION in {r.name for r in RELEASES}, "run python -m tests.contracts"


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.name)
def test_a_plan_of_each_release_is_read(release):
    text = (release / "plan.json").read_bytes()
    plan = from_json(text, "plan.json")
    assert plan.digest == json.loads(text)["digest"]
    assert plan.variants[0].experiment.name == "smoke"
    assert json.loads(json.dumps(to_json(plan)))["stages"][0]["key"] == plan.stages[0].key


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.name)
def test_a_stage_and_a_record_of_each_release_are_read(release):
    stage = read_stage_file(release / "stage.json")
    assert content_key(stage.preimage) == stage.key
    record = Record.model_validate(unseal((release / "record.json").read_bytes()))
    assert (record.kind, record.key) == (stage.kind, stage.key)
    assert record.files["model.safetensors"].size == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format_version": 2}, "stage.json has format 2; this runtime, .*, reads 1"),
        ({"kind": 3}, "stage.json is not a valid stage file: `kind`"),
        ({"newer": True}, "stage.json is not a valid stage file: `newer`: Extra inputs"),
    ],
)
def test_a_stage_of_another_version_is_refused_by_the_runtime(tmp_path, change, told):
    path = tmp_path / "stage.json"
    path.write_text(json.dumps({**json.loads((RELEASES[-1] / "stage.json").read_bytes()), **change}))
    with pytest.raises(InvalidStageSpec, match=told) as caught:
        read_stage_file(path)
    assert caught.value.code == StageExit.SPEC
    done = subprocess.run(
        [sys.executable, "-m", "runtime", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == StageExit.SPEC
    assert "Traceback" not in done.stderr


def test_a_plan_of_another_version_is_refused_before_anything_runs(tmp_path):
    other = {**json.loads((RELEASES[-1] / "plan.json").read_bytes()), "format_version": 2, "version": "9.0"}
    with pytest.raises(StalePlan, match=r"format 2, made by c2f-spec 9.0; this is c2f-spec") as caught:
        from_json(json.dumps(other).encode(), "plan.json")
    assert caught.value.exit == Exit.STALE
