"""Process 1 owns its workers: how they end, when it ends them, what they said, and stops that lead nowhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from c2f_spec.errors import StageExit
from c2f_spec.spec.handoff import StageFile
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.store.stage_logs import read_log
from runtime.process.accounting import count_stop
from runtime.process.attempt_log import Log
from runtime.process.context import Context
from runtime.process.heartbeat import Beat, read_beats
from runtime.process.workers import RankEnd
from tests.support.servers import free_port
from tests.support.waiting import wait_until

SCRIPT = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from c2f_spec.store.open import open_store
    from runtime.process.attempt_log import Log
    from runtime.process.supervise import most_severe
    from runtime.process.workers import run_workers
    scratch, grace, *how = sys.argv[1:]
    processes = int(os.environ.get("C2F_TEST_PROCESSES", len(how)))
    log = Log(open_store(f"{scratch}/store"), "sft", "0" * 64, "first")
    worst = most_severe(run_workers(["tests.workers.gloo", *how], processes, Path(scratch), log=log, grace=float(grace)))
    log.write(f"worst: {worst.message}")
    log.close()
    sys.exit(worst.code)
""")


def start(tmp_path, *how: str, grace: float = 30, **variables: str) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(grace), *how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (("done", "done"), StageExit.DONE),
        (("data", "wait"), StageExit.DATA),
        (("bug", "data"), StageExit.DATA),
        (("wait", "killed"), StageExit.MEMORY),
        (("done",), StageExit.DONE),
        (("diverged",), StageExit.DIVERGED),
        (("killed",), StageExit.MEMORY),
        (("segv",), StageExit.BUG),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, tuple) else v.name,
)
def test_the_most_severe_code_is_returned(tmp_path, how, code):
    child = start(tmp_path, *how)
    out, _ = child.communicate(timeout=600)
    assert child.returncode == code, out


def wait_for_workers(tmp_path, ranks: int) -> None:
    wait_until(lambda: all((tmp_path / f"ready-{rank}").exists() for rank in range(ranks)))


@pytest.mark.parametrize("how", [("wait",), ("wait", "wait")], ids=["one", "two"])
def test_a_signal_is_passed_on_and_waited_for(tmp_path, how):
    child = start(tmp_path, *how)
    wait_for_workers(tmp_path, len(how))
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=600)
    assert child.returncode == StageExit.STOPPED, out
    assert all((tmp_path / f"exit-{rank}.json").exists() for rank in range(len(how)))


@pytest.mark.parametrize(
    ("how", "codes"),
    [
        (("done", "done"), (StageExit.DONE, StageExit.DONE)),
        (("data", "done"), (StageExit.DATA, StageExit.DONE)),
    ],
    ids=lambda v: "-".join(map(str, v)),
)
def test_two_nodes_are_one_training_and_each_reports_its_own_code(tmp_path, how, codes):
    """Each node runs one process; they meet where the first one waits, whichever starts first."""
    meet = f"127.0.0.1:{free_port()}"
    children = {}
    for node in (1, 0):
        (tmp_path / str(node)).mkdir()
        variables = {"C2F_NODES": "2", "C2F_RENDEZVOUS": meet, "JOB_COMPLETION_INDEX": str(node)}
        children[node] = start(tmp_path / str(node), *how, **variables, C2F_TEST_PROCESSES="1")
    outs = {node: child.communicate(timeout=600)[0] for node, child in children.items()}
    assert tuple(children[node].returncode for node in (0, 1)) == codes, outs
    started = [p.name for node in (0, 1) for p in (tmp_path / str(node)).glob("ready-*")]
    assert started == ["ready-0", "ready-1"]


def test_a_worker_that_does_not_stop_in_time_is_ended(tmp_path):
    child = start(tmp_path, "deaf", grace=2)
    wait_for_workers(tmp_path, 1)
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=600)
    assert child.returncode == StageExit.STOPPED, out
    assert "timed out: not saved within the 2 s to stop; the last complete checkpoint stands" in out


def test_a_step_that_hangs_is_ended_with_the_stacks_of_all_ranks(tmp_path):
    child = start(tmp_path, "hang", "wait")
    out, _ = child.communicate(timeout=600)
    assert child.returncode == StageExit.TRANSIENT, out
    assert "no step for 3 s" in out, "ten times the median"
    _, first, second = out.split("--- rank ")
    assert "in a_step_that_never_ends" in first
    assert 'gloo.py", line' in second
    assert "in act" in second
    stored = (path for path in sorted((tmp_path / "store").rglob("logs/first/*")))
    assert "".join(path.read_text() for path in stored) == out, (
        "the log in the store is the one that was printed"
    )


def test_a_stage_is_alive_from_its_first_step_to_its_last(tmp_path, monkeypatch):
    monkeypatch.setenv("C2F_EXIT_DIR", str(tmp_path))
    file = StageFile(kind="sft", key="k", name="sft", preimage={}, store="", scratch="")
    ctx = Context(file, {}, tmp_path, open_store(str(tmp_path / "store")))
    limits = []
    for done in (0, 1, 2):
        ctx.progress(done, 2, "steps")
        limits.append([beat.limit for beat in read_beats(tmp_path)])
    assert limits == [[], [600.0], [None]], "loading a model and storing a result have bounds of their own"
    beat = Beat(0, 1, at=100.0, limit=600.0)
    assert (beat.overdue(700.0), beat.overdue(701.0)) == (0.0, 601.0)


# ---- the log


def pieces(objects) -> list[bytes]:
    return [objects.read(name) for name in objects.names("work/sft/k/logs/a")]


def test_secrets_never_reach_the_log(objects, monkeypatch, capsys):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENG")
    log = Log(objects, "sft", "k", "a")
    log.write("using wJalrXUtnFEMIK7MDENG to sign")
    log.close()
    assert b"".join(pieces(objects)) == b"using *** to sign\n"
    assert "wJalr" not in capsys.readouterr().out


def test_a_log_is_stored_in_pieces_of_bounded_size(objects):
    log = Log(objects, "sft", "k", "a")
    lines = [f"line {n} " + "x" * 90 for n in range(3000)]
    read, write = os.pipe()
    with os.fdopen(read, "rb") as pipe:
        log.follow(pipe)
        with os.fdopen(write, "w") as file:
            file.write("\n".join(lines) + "\n")
        log.close()
    assert b"".join(pieces(objects)).decode().splitlines() == lines
    assert list(read_log(objects, "sft", "k"))[1:] == lines
    assert len(pieces(objects)) > 1


def test_a_line_is_stored_while_the_stage_works(objects, monkeypatch):
    monkeypatch.setattr("runtime.process.attempt_log.STORE_SECONDS", 0.01)
    stored = threading.Event()
    create = objects.create
    monkeypatch.setattr(objects, "create", lambda *item: (create(*item), stored.set()))
    log = Log(objects, "sft", "k", "a")
    for line in ("the first", "a later one"):
        stored.clear()
        log.write(line)
        assert stored.wait(300), "no more lines come, and the log is not closed"
    assert b"".join(pieces(objects)).decode().splitlines() == ["the first", "a later one"]
    log.close()


def test_a_log_without_a_store_goes_on(tmp_path, capsys):
    (tmp_path / "store").write_text("a file where a folder should be")
    log = Log(open_store(str(tmp_path / "store")), "sft", "k", "a")
    log.write("still here")
    log.close()
    out = capsys.readouterr().out
    assert "still here" in out
    assert "the log is not stored now" in out


# ---- stops


def test_five_stops_without_a_new_checkpoint_are_the_end(objects):
    stop = RankEnd(0, StageExit.STOPPED, "stopped")
    for n in range(4):
        assert count_stop(objects, "sft", "k", f"a{n}", stop) is stop
    objects.create("work/sft/k/checkpoints/step-20/x/manifest.json", b"{}")
    for n in range(4, 8):
        assert count_stop(objects, "sft", "k", f"a{n}", stop) is stop, "there was a new checkpoint since"
    end = count_stop(objects, "sft", "k", "a8", stop)
    assert end.code is StageExit.BUG
    assert "stopped 5 times without a checkpoint after step 20" in end.message
    records.add_failure(objects, "sft", "k", {})
    assert count_stop(objects, "sft", "k", "a9", stop) is stop, "after a retry it has five again"
