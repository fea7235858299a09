"""The verbs about a running plan on this machine; tests/test_cluster_control.py has them on a cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.conftest import TINY_SPEC

SLOW = TINY_SPEC.replace("train: 12", "train: 400")
"""Its `prepare` draws clips for some seconds."""


@pytest.fixture
def running(repository):
    """An `apply` in the background, once its first stage runs."""
    (repository / "specs" / "slow.yaml").write_text(SLOW)
    command = [sys.executable, "-m", "c2f_spec", "apply", "specs/slow.yaml", "--no-report"]
    child = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL)
    yield child
    child.terminate()
    child.wait()


def states(c2f):
    found = json.loads(c2f("status", "specs/slow.yaml", "-o", "json").stdout)["stages"]
    return {row["stage"].split("-")[0]: row for row in found}


def until(c2f, kind, *wanted):
    for _ in range(100):
        found = states(c2f)[kind]
        if found["state"] in wanted:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{kind} never came to {wanted}: {found}")


def test_status_cancel_and_retry_of_a_running_plan(c2f, running):
    until(c2f, "prepare", "starting", "running")
    waiting = states(c2f)["filter"]
    assert waiting["state"] == "waiting-input"
    assert waiting["detail"].startswith("needs ")
    stopped = c2f("cancel", "specs/slow.yaml", "prepare").stdout
    assert "has stopped" in stopped
    assert "wait for it: distil-" in stopped
    assert running.wait(timeout=30) == 8
    failed = states(c2f)["prepare"]
    assert failed["state"] == "failed"
    assert "cancelled by" in failed["detail"]
    assert "c2f-spec retry specs/slow.yaml prepare-" in failed["way_out"]
    again = c2f("retry", "specs/slow.yaml").stdout
    assert "will be tried again" in again
    assert states(c2f)["prepare"]["state"] == "ready"
    assert "nothing has failed" in c2f("retry", "specs/slow.yaml").stdout


def test_cancelling_a_plan_stops_what_runs_and_blames_nobody(c2f, running):
    until(c2f, "prepare", "starting", "running")
    assert "has stopped" in c2f("cancel", "specs/slow.yaml").stdout
    running.wait(timeout=30)
    assert states(c2f)["prepare"]["state"] == "ready"
    assert "nothing is running" in c2f("cancel", "specs/slow.yaml").stdout


def test_delete_asks_and_stops_processes(c2f, running):
    until(c2f, "prepare", "starting", "running")
    assert "add --yes" in c2f("delete", "specs/slow.yaml", check=64).stderr
    done = c2f("delete", "specs/slow.yaml", "--yes").stdout
    assert "process of prepare-" in done
    assert "results stay in the store" in done
    running.wait(timeout=30)
    assert "nothing of tiny-stages is there" in c2f("delete", "specs/slow.yaml", "--yes").stdout


def test_logs_are_followed_to_the_end(c2f, running):
    until(c2f, "prepare", "starting", "running")
    done = c2f("logs", "specs/slow.yaml", "prepare", "-f").stdout
    assert done.count("--- attempt of") == 1
    assert "committed" in done


def test_a_shell_is_for_clusters(c2f, tiny_spec):
    assert "`shell` is for clusters" in c2f("shell", "specs/tiny.yaml", "prepare", check=64).stderr


def test_a_failure_tells_its_class_and_what_to_do(c2f, tiny_spec):
    from c2f_spec.store import records
    from c2f_spec.store.objects import open_objects

    name = c2f("plan", "specs/tiny.yaml", "-o", "name").stdout.splitlines()[0]
    key = next(s["key"] for s in json.loads(c2f("plan", "specs/tiny.yaml", "-o", "json").stdout)["stages"])
    objects = open_objects(".c2f/store")
    failure = {"code": 71, "class": "out of memory", "message": "killed, as a machine does", "hint": ""}
    records.add_failure(objects, "prepare", key, failure)
    table = c2f("status", "specs/tiny.yaml").stdout
    assert "out of memory: killed, as a machine does" in table
    assert f"{name}: lower what the message names" in table
    told = c2f("apply", "specs/tiny.yaml", "--no-report", check=8).stderr
    assert "failed (out of memory): killed, as a machine does" in told
    assert f"c2f-spec retry specs/tiny.yaml {name}" in told
