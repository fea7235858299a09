"""Clips decoded ahead of need: in order, bounded, the same rows; a worker that dies or hangs is an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from c2f_spec.errors import InvalidData, OutOfMemory
from runtime.media import prefetch
from runtime.media.decoded_cache import DecodedCache
from runtime.media.prefetch import DecodeTask, Prefetcher, prefetch_workers
from runtime.models import rows
from runtime.models.rows import Reader
from tests.support.odd_work import odd_work
from tests.support.omni import FMT, MEDIA, prepared, student
from tests.support.waiting import wait_until


@pytest.fixture
def pool(tmp_path):
    pool = started(tmp_path)
    yield pool
    pool.close()


def started(folder):
    """With one worker, which is ready."""
    pool = Prefetcher(partial(odd_work, folder), 1)
    pool.schedule([task("first")])
    wait_until((folder / "first").is_file)
    pool.wait_for(task("first"))
    (folder / "first").unlink()
    return pool


def task(name):
    return DecodeTask(f"{name:a>64}", Path("/clips") / name, ())


def test_workers_get_tasks_in_order_never_more_than_the_window_and_errors_name_the_clip(pool, tmp_path):
    tasks = [task(f"{n:02}") for n in range(20)]
    pool.schedule([*tasks, *tasks])
    asked = [len(pool._workers[0].tasks)]
    for each in tasks:
        pool.wait_for(each)
        assert (tmp_path / each.path.name).is_file()
        asked.append(len(pool._workers[0].tasks))
    assert max(asked) <= prefetch.WINDOW
    assert asked[-1] == 0
    pool.wait_for(task("never expected"))

    pool.schedule([task("bad"), task("good")])
    pool.wait_for(task("bad"))
    assert not (tmp_path / "bad").is_file(), "the stage meets the error itself"
    pool.wait_for(task("good"))

    pool.schedule([task("crash")])
    with pytest.raises(InvalidData, match=r"the decoder crashed at /clips/crash \(SIGSEGV\)"):
        pool.wait_for(task("crash"))


def test_a_worker_that_is_killed_or_hangs_is_an_error(tmp_path, monkeypatch):
    for name, error, message in (
        ("killed", OutOfMemory, r"was killed at /clips/killed"),
        ("broken", RuntimeError, r"ended with 1 at /clips/broken"),
        ("hang", InvalidData, r"/clips/hang was not decoded within 1 s"),
    ):
        monkeypatch.setattr(prefetch, "HANG_SECONDS", 60)
        pool = started(tmp_path)
        monkeypatch.setattr(prefetch, "HANG_SECONDS", 1 if name == "hang" else 60)
        pool.schedule([task(name)])
        with pytest.raises(error, match=message):
            pool.wait_for(task(name))
        assert pool._workers == [], "none is left behind"


def test_a_worker_that_starts_is_not_waited_for(tmp_path):
    pool = Prefetcher(partial(odd_work, tmp_path), 1)
    pool.schedule([task("hang")])
    pool.wait_for(task("hang"))
    pool.close()


def test_a_reader_starts_workers_when_decoding_takes_long_and_reads_the_same_rows(tmp_path, monkeypatch):
    plain = Reader(prepared(), student().processor, FMT, MEDIA)
    ids = plain.ids("train")
    monkeypatch.setattr(rows, "MIN_DECODING_SECONDS", 0.0)
    monkeypatch.setattr(rows, "prefetch_workers", lambda: 1)
    reader = Reader(prepared(), student().processor, FMT, MEDIA, cache=DecodedCache(tmp_path, 10**9))
    reader.prefetch(ids)
    for name, row in zip(ids, reader.rows(ids), strict=True):
        assert row.prompt == plain.row(name).prompt
    processes = [worker.process for worker in reader._prefetcher._workers]
    reader.close()
    assert not any(process.is_alive() for process in processes)


def test_a_worker_imports_neither_torch_nor_transformers():
    code = (
        "import sys, runtime.process.worker, runtime.media.prefetch, runtime.media.decoded_cache, c2f_spec.spec.sections\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'seconds, for each worker'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_process_of_a_stage_starts_as_many_as_its_share_of_the_cores_allows(monkeypatch):
    monkeypatch.setattr(prefetch, "available_cores", lambda: 16)
    assert prefetch_workers() == prefetch.MAX_WORKERS
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert prefetch_workers() == 1
    monkeypatch.setattr(prefetch, "available_cores", lambda: 8)
    assert prefetch_workers() == 0


@pytest.mark.parametrize("how", ["exit", "SIGTERM", "SIGKILL"])
def test_no_worker_outlives_the_stage(tmp_path, how):
    code = """
import sys, time
from functools import partial
from pathlib import Path
from runtime.media.prefetch import Prefetcher, DecodeTask
from runtime.process.signals import install_handlers
from tests.support.odd_work import odd_work
if __name__ == "__main__":
    install_handlers()
    pool = Prefetcher(partial(odd_work, Path(sys.argv[1])), 1)
    first = DecodeTask("1", Path("first"), ())
    pool.schedule([first, DecodeTask("2", Path("hang"), ())])
    while not (Path(sys.argv[1]) / "first").exists():
        time.sleep(0.01)
    pool.wait_for(first)
    print(pool._workers[0].process.pid, flush=True)
    time.sleep(600 * (sys.argv[2] != "exit"))
"""
    (tmp_path / "stage.py").write_text(code)
    command = [sys.executable, str(tmp_path / "stage.py"), str(tmp_path), how]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as child:
        worker = int(child.stdout.readline())
        if how != "exit":
            child.send_signal(getattr(signal, how))
        child.wait(600)
    wait_until(lambda: not Path(f"/proc/{worker}").exists())
