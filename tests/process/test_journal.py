"""The journal of a stage over clips: what a killed attempt leaves, in a folder and in a bucket."""

from __future__ import annotations

import threading
import time

import pytest

from runtime.process.parallel import map_threads
from runtime.process.units import Journal, max_lost_rows
from tests.support.distil_world import context
from tests.support.waiting import wait_until

ROWS = [{"id": f"clip-{n}", "sample": 0, "tries": [{"text": f"“{n}”\u2028 好\n"}]} for n in range(40)]


class Bucket:
    """A store whose objects do not grow: the folder of `ctx`, without telling where it is."""

    def __init__(self, objects):
        self._objects = objects

    def local(self, name):
        return None

    def __getattr__(self, name):
        return getattr(self._objects, name)


@pytest.fixture(params=["folder", "bucket"])
def ctx(request, tmp_path):
    found = context(tmp_path, tmp_path)
    if request.param == "bucket":
        found.store = Bucket(found.store)
    return found


def stored_rows(ctx):
    with Journal(ctx, 1) as journal:
        return sorted(journal.rows(), key=ROWS.index)


def test_rows_come_back_whoever_wrote_them(ctx):
    for part in (ROWS[:25], ROWS[25:]):
        with Journal(ctx, 4) as journal:
            for row in part:
                journal.append(row)
    assert stored_rows(ctx) == ROWS


@pytest.mark.parametrize("at_once", [1, 8, 32])
def test_a_killed_attempt_loses_no_more_than_its_limit(ctx, at_once):
    """What waits, together with what may be under way, is at most K, at every moment."""
    with Journal(ctx, at_once) as journal:
        for written, row in enumerate(ROWS, start=1):
            journal.append(row)
            lost = written - len(stored_rows(ctx))
            assert lost + at_once <= max_lost_rows(at_once)
            assert lost == 0 or ctx.store.local("x") is None


def test_half_a_line_and_a_damaged_one_are_reported_and_cost_only_themselves(tmp_path, capsys):
    ctx = context(tmp_path, tmp_path)
    with Journal(ctx, 1) as journal:
        for row in ROWS[:5]:
            journal.append(row)
    (path,) = (tmp_path / "store").rglob("journal/*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert stored_rows(ctx) == ROWS[:4]
    assert "ends in half a line" in capsys.readouterr().out
    for place in range(0, len(whole), 7):
        data = bytearray(whole)
        data[place] ^= 1
        path.write_bytes(data)
        left = stored_rows(ctx)
        assert len(left) >= 3
        assert all(row in ROWS for row in left)
        assert f"{path.name} are damaged" in capsys.readouterr().out


def test_no_more_is_requested_than_what_would_be_lost_is_written_down():
    """Whoever writes is slow: threads that answered wait for it before they ask anew."""
    begun, written = [], 0
    for _ in map_threads(begun.append, range(12), 3, lambda: None):
        time.sleep(0.02)
        assert len(begun) <= written + 3
        written += 1
    assert written == 12


def test_threads_that_wait_end_with_whoever_left():
    before = threading.active_count()
    asked = map_threads(lambda item: item, range(100), 4, lambda: None)
    next(asked)
    asked.close()
    wait_until(lambda: threading.active_count() == before)


def test_an_error_comes_when_the_others_have_ended_and_nothing_of_them_is_lost():
    def work(item):
        if item == 2:
            raise ValueError(item)
        time.sleep(0.05)
        return item

    found = []
    with pytest.raises(ValueError, match="2"):
        for made in map_threads(work, range(50), 4, lambda: None):
            found += [made]
    assert sorted(found) == [0, 1, 3]
