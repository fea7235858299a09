"""Kill -9 at any moment: finished stages stay finished, and none is half-done."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from c2f_spec.store import records
from c2f_spec.store.protocol import ObjectStore
from tests.support.faults import ENVIRONMENT, Findings, apply, inspect, kill, processes_in, store_of, storm


def test_killed_at_random_moments_nothing_is_half_done(repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    found = storm(repository, tiny_spec, kills=4, seed=20260, longest=4.0)
    assert found.wrong == []
    assert len(found.committed) == 3
    assert processes_in(repository) == []


def test_a_second_apply_follows_what_a_killed_one_started(repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    first = apply(repository, tiny_spec)
    objects = store_of(repository)
    _, pid = holder_of("distil", objects)
    os.kill(pid, signal.SIGSTOP)  # or it might be done before anybody could follow it
    kill(first)
    second = apply(repository, tiny_spec)
    assert second.stdout is not None
    followed = any("following" in line for line in second.stdout)
    os.kill(pid, signal.SIGCONT)
    out, _ = second.communicate(timeout=60)
    assert followed
    assert second.returncode == 0, out
    attempts = {name.split("/")[4] for name in objects.names("work/distil") if "/logs/" in name}
    assert len(attempts) == 1, "it was started once"


def test_two_applies_at_once_make_one_result(repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    both: list[subprocess.Popen[str]] = [apply(repository, tiny_spec) for _ in range(2)]
    outs = [child.communicate(timeout=60)[0] for child in both]
    assert [child.returncode for child in both] == [0, 0], outs
    found = Findings()
    inspect(repository, found)
    assert found.wrong == []
    assert len(found.committed) == 3


def test_a_worker_whose_supervisor_is_killed_ends_too(repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    child = apply(repository, tiny_spec)
    objects = store_of(repository)
    key, pid = holder_of("distil", objects)
    os.kill(pid, signal.SIGKILL)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 8, out
    assert "killed by SIGKILL" in out
    deadline = time.monotonic() + 20
    while processes_in(repository) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_in(repository) == []
    again = apply(repository, tiny_spec)
    out, _ = again.communicate(timeout=60)
    assert again.returncode == 0, out
    assert not records.is_failed(objects, "distil", key)


def holder_of(kind: str, objects: ObjectStore) -> tuple[str, int]:
    """Key and process of the stage of `kind`, as soon as it runs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for lock in objects.root.glob(f"work/{kind}/*/lock"):
            if lock.read_text().isdigit():
                return lock.parent.name, int(lock.read_text())
        time.sleep(0.01)
    raise AssertionError(f"no {kind} ran")
