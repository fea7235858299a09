"""The verbs about a running plan on this machine; tests/targets/test_cluster_control.py has them on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from c2f_spec.cli.main import main
from c2f_spec.language.lock_file import write_pins
from c2f_spec.store.open import open_store
from c2f_spec.store.records import add_dataset
from tests.conftest import HERE, TINY_SPEC

SLOW = TINY_SPEC.replace("train: 12", "train: 3000")
"""Its `prepare` draws clips for a minute, and tests stop it long before."""
RATINGS = HERE / "data" / "icwsm2014" / "movieReviewSnippets_GroundTruth.txt"
PATIENCE_SECONDS = 300
"""How long a test waits for what must come, on a machine that others use."""


@pytest.fixture
def running(repository):
    """An `apply` in the background, once its first stage runs."""
    (repository / "specs" / "slow.yaml").write_text(SLOW)
    rows = [line.split("\t") for line in RATINGS.read_text().splitlines()]
    folder = repository / "long"
    folder.mkdir()
    copies = [
        f"{int(number) + 1000 * i}\t{score}\t{text} {i}\n" for i in range(20) for number, score, text in rows
    ]
    (folder / RATINGS.name).write_text("".join(copies))
    facts = {"name": "icwsm2014-movie"}
    digest = add_dataset(open_store(".c2f/store"), "icwsm2014-movie", folder, facts)
    write_pins(repository / "specs" / "c2f.lock", "datasets", {"icwsm2014-movie": digest})
    command = [sys.executable, "-m", "c2f_spec", "apply", "specs/slow.yaml", "--no-report"]
    child = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL)
    yield child
    child.terminate()
    child.wait()


@pytest.fixture
def called(capsys):
    """`called("status", "specs/x.yaml")` in this process, which starts faster than another: what it printed."""

    def run(*argv, check=0):
        assert main(argv) == check, capsys.readouterr().err
        found = capsys.readouterr()
        return found.out if check == 0 else found.err

    return run


def states(called):
    found = json.loads(called("status", "specs/slow.yaml", "-o", "json"))["stages"]
    return {row["stage"].split("-")[0]: row for row in found}


def until(called, kind, *wanted):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        row = states(called)[kind]
        if row["state"] in wanted:
            return row
        time.sleep(0.05)
    raise AssertionError(f"{kind} never came to {wanted}: {row}")


def test_status_cancel_and_retry_of_a_running_plan(called, running):
    until(called, "prepare", "starting", "running")
    waiting = states(called)["filter"]
    assert waiting["state"] == "waiting-input"
    assert waiting["detail"].startswith("needs ")
    stopped = called("cancel", "specs/slow.yaml", "prepare")
    assert "has stopped" in stopped
    assert "wait for it: distil-" in stopped
    assert running.wait(PATIENCE_SECONDS) == 8
    failed = states(called)["prepare"]
    assert failed["state"] == "failed"
    assert "cancelled by" in failed["detail"]
    assert "c2f-spec retry specs/slow.yaml prepare-" in failed["remedy"]
    again = called("retry", "specs/slow.yaml")
    assert "will be tried again" in again
    assert states(called)["prepare"]["state"] == "ready"
    assert "nothing has failed" in called("retry", "specs/slow.yaml")


def test_delete_asks_and_stops_processes(called, running):
    until(called, "prepare", "starting", "running")
    assert "add --yes" in called("delete", "specs/slow.yaml", check=64)
    done = called("delete", "specs/slow.yaml", "--yes")
    assert "process of prepare-" in done
    assert "results stay in the store" in done
    running.wait(PATIENCE_SECONDS)
    assert "nothing to remove: tiny-stages has no objects or processes" in called(
        "delete", "specs/slow.yaml", "--yes"
    )
    assert "nothing is running" in called("cancel", "specs/slow.yaml")
    assert states(called)["prepare"]["state"] == "ready", "who deletes a plan fails no stage"


def terminate_when_logged(child):
    """End `apply`, which asks its stage to stop, once the stage has a log."""
    while not any(Path(".c2f/store/work/prepare").rglob("logs/*")):
        time.sleep(0.05)
    child.terminate()


def test_logs_are_followed_to_the_last_line(called, running):
    until(called, "prepare", "starting", "running")
    threading.Thread(target=terminate_when_logged, args=(running,)).start()
    done = called("logs", "specs/slow.yaml", "prepare", "-f")
    assert done.count("--- attempt of") == 1
    assert "stopped" in done.splitlines()[-1]


def test_a_shell_is_for_clusters(called, tiny_spec):
    assert "`shell` is for clusters" in called("shell", "specs/tiny.yaml", "prepare", check=64)


def test_a_failure_tells_its_class_and_what_to_do(called, tiny_spec):
    from c2f_spec.store import records

    name = called("plan", "specs/tiny.yaml", "-o", "name").splitlines()[0]
    key = next(s["key"] for s in json.loads(called("plan", "specs/tiny.yaml", "-o", "json"))["stages"])
    objects = open_store(".c2f/store")
    failure = {"code": 71, "class": "out of memory", "message": "killed, as a machine does", "hint": ""}
    records.add_failure(objects, "prepare", key, failure)
    table = called("status", "specs/tiny.yaml")
    assert "out of memory: killed, as a machine does" in table
    assert f"{name}: lower the field that the message names" in table
    called = called("apply", "specs/tiny.yaml", "--no-report", check=8)
    assert "failed (out of memory): killed, as a machine does" in called
    assert f"c2f-spec retry specs/tiny.yaml {name}" in called


def test_apply_until_runs_a_part_and_a_shell_brings_its_inputs(called, tiny_spec, capsys):
    from runtime.commands import in_pod

    assert "2 stages, 0 stored, 2 to run" in called(
        "apply", "specs/tiny.yaml", "--until", "distil", "--no-report"
    )
    assert "no stage of kind `sft`" in called("apply", "specs/tiny.yaml", "--until", "sft", check=64)
    (path,) = Path(".c2f/store/work/distil").glob("*/stage.json")
    assert in_pod.main([str(path), "shell", "--seconds", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["stage", "prepare", "run", "asleep"]
    assert Path(lines[1].split()[1]).is_dir()
