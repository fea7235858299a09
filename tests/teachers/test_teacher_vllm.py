"""The teacher that vLLM serves on this machine, at its border: the command line, the protocol, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from c2f_spec.errors import InvalidStageSpec, Unreachable
from tests.support.distil_world import context, prepared, run
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SPEC = {"kind": "vllm", "model": "Qwen/Qwen3-Omni-30B-A3B-Instruct", "revision": "0" * 40}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """`vllm` on the path; what it was started with."""
    (tmp_path / "bin").mkdir()
    path = tmp_path / "bin" / "vllm"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.support.fake_vllm_serve import main\nmain(sys.argv[1:])\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_VLLM_NOTES", str(tmp_path / "notes.json"))
    return tmp_path / "notes.json"


@pytest.fixture
def ctx(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    found = context(tmp_path, prepared(tmp_path / "p", 6), teacher=SPEC)
    place = found.stage.placement
    served = place.endpoint.model_copy(update={"tensor_parallel": 2, "memory": 0.8})
    found.stage = found.stage.model_copy(update={"placement": place.model_copy(update={"endpoint": served})})
    found.inputs["weights"] = tmp_path / "weights"
    return found


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_the_stage_starts_the_server_sends_requests_and_ends_it(program, ctx, capfd):
    summary, made = run(ctx)
    assert (summary["kept"], summary["well_formed"]) == (6, 6)
    assert len(made["replies"]) == 6
    started = json.loads(program.read_text())
    assert started["model_tag"] == str(ctx.inputs["weights"])
    assert started["served_model_name"] == SPEC["model"]
    assert (started["tensor_parallel_size"], started["gpu_memory_utilization"]) == (2, 0.8)
    assert started["limit_mm_per_prompt"] == {"video": 1, "audio": 1}
    assert started["media_io_kwargs"] == {"video": {"num_frames": -1}}
    assert gone(started["pid"])
    assert "vLLM answers after" in capfd.readouterr().out


def test_one_that_dies_at_its_start_is_tried_again_later(program, ctx, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_VLLM", "dies")
    with pytest.raises(Unreachable, match="vLLM ended with 1 before it answered"):
        run(ctx)
    assert "CUDA out of memory" in capfd.readouterr().out


def test_without_a_program_or_weights_the_spec_is_wrong(ctx, program, monkeypatch):
    del ctx.inputs["weights"]
    with pytest.raises(InvalidStageSpec, match="are missing in this stage"):
        run(ctx)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InvalidStageSpec, match="the program `vllm` is not found"):
        run(ctx)


def test_it_does_not_outlive_a_stage_that_was_killed(program, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    script = (
        "from pathlib import Path\nfrom c2f_spec.spec.handoff import Endpoint\n"
        "from c2f_spec.spec.teacher import VllmTeacher\nfrom runtime.teachers.questions import Task\n"
        "from runtime.teachers.vllm import start\nimport time\n"
        f"spec = VllmTeacher(model='a/b', revision='0' * 40)\n"
        f"task = Task(None, None, 'en', -1, 1, 'mosi', True, weights=Path({str(tmp_path / 'weights')!r}))\n"
        "start(spec, task, Endpoint())\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    stage = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert any(line.startswith("up") for line in stage.stdout)
    pid = json.loads(program.read_text())["pid"]
    assert not gone(pid)
    stage.send_signal(signal.SIGKILL)
    stage.communicate()
    wait_until(lambda: gone(pid))
