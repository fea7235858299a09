"""Process 1 owns its workers: the gravest exit code comes back, signals are passed on, a killed worker is known."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from c2f_spec.errors import StageExit

SCRIPT = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from c2f_spec.store.objects import open_objects
    from runtime.logs import Log
    from runtime.supervise import gravest
    from runtime.workers import run_workers
    scratch, grace, *how = sys.argv[1:]
    processes = int(os.environ.get("C2F_TEST_PROCESSES", len(how)))
    log = Log(open_objects(f"{scratch}/store"), "sft", "0" * 64, "first")
    worst = gravest(run_workers(["tests.workers.gloo", *how], processes, Path(scratch), log=log, grace=float(grace)))
    log.say(f"worst: {worst.message}")
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
def test_the_gravest_code_is_returned(tmp_path, how, code):
    child = start(tmp_path, *how)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == code, out


@pytest.mark.parametrize("how", [("wait",), ("wait", "wait")], ids=["one", "two"])
def test_a_signal_is_passed_on_and_waited_for(tmp_path, how):
    child = start(tmp_path, *how)
    wanted = [tmp_path / f"ready-{rank}" for rank in range(len(how))]
    for _ in range(600):
        if all(p.exists() for p in wanted):
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=60)
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
def test_two_nodes_are_one_training_and_each_tells_of_its_own(tmp_path, how, codes):
    """Each node runs one process; they meet where the first one waits, whichever starts first."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        meet = f"127.0.0.1:{taken.getsockname()[1]}"
    children = {}
    for node in (1, 0):
        (tmp_path / str(node)).mkdir()
        told = {"C2F_NODES": "2", "C2F_RENDEZVOUS": meet, "JOB_COMPLETION_INDEX": str(node)}
        children[node] = start(tmp_path / str(node), *how, **told, C2F_TEST_PROCESSES="1")
    outs = {node: child.communicate(timeout=120)[0] for node, child in children.items()}
    assert tuple(children[node].returncode for node in (0, 1)) == codes, outs
    assert [p.name for node in (0, 1) for p in (tmp_path / str(node)).glob("ready-*")] == [
        "ready-0",
        "ready-1",
    ]
