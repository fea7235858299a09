"""One holder; a stale lease goes to one of those who want it; who lost it notices."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from c2f_spec.store import leases, records
from c2f_spec.store.digest import seal
from c2f_spec.store.open import open_store

NAME = leases.lease_name("sft", "k")


@pytest.fixture(params=["folder", "seaweed"])
def objects(request, url_of):
    return open_store(url_of(request.param))


def of_another_machine(objects, seconds: float, holder: str | None = "theirs") -> None:
    state = {"holder": holder, "machine": "another", "count": 3, "seconds": seconds}
    objects.replace(NAME, seal(state))


def test_of_eight_who_want_it_one_gets_it(objects):
    def want(i: int) -> bool:
        lease = leases.acquire(objects, NAME, f"a{i}", seconds=1.5, machine=f"machine {i}")
        for _ in range(20 if lease else 0):  # those who came late look whether it beats
            assert lease.beat()
            time.sleep(0.1)
        return lease is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(want, range(8))) == 1


def test_a_holder_beats_and_lets_go(objects):
    lease = leases.acquire(objects, NAME, "mine")
    assert lease.beat()
    assert lease.beat()
    lease.release()
    assert json.loads(objects.read(NAME))["holder"] is None
    assert leases.acquire(objects, NAME, "next") is not None


def test_a_stale_one_is_taken_after_its_time_and_a_free_one_at_once(objects):
    of_another_machine(objects, seconds=0.6)
    start = time.monotonic()
    assert leases.acquire(objects, NAME, "mine") is not None
    assert time.monotonic() - start > 0.6
    of_another_machine(objects, seconds=60, holder=None)
    start = time.monotonic()
    assert leases.acquire(objects, NAME, "mine") is not None
    assert time.monotonic() - start < 0.5


def test_one_that_beats_is_left_alone(objects):
    of_another_machine(objects, seconds=1.5)
    stop = threading.Event()

    def beat() -> None:
        count = 4
        while not stop.wait(0.1):
            state = {"holder": "theirs", "machine": "another", "count": count, "seconds": 1.5}
            objects.replace(NAME, seal(state))
            count += 1

    other = threading.Thread(target=beat)
    other.start()
    try:
        assert leases.acquire(objects, NAME, "mine") is None
        watch = leases.LeaseWatch(objects)
        assert watch.alive(NAME)
    finally:
        stop.set()
        other.join()


def test_who_lost_it_is_told_once(objects):
    lease, told = leases.acquire(objects, NAME, "mine"), []
    with leases.heartbeat(lease, "sft", "k", lambda: told.append(lease.lost), every=0.15):
        time.sleep(0.4)
        assert told == []
        of_another_machine(objects, seconds=60)
        time.sleep(1)
    assert told == ["another attempt has taken over"]
    assert not lease.beat()


def test_who_was_outrun_is_told(objects):
    lease, told = leases.acquire(objects, NAME, "mine"), []
    with leases.heartbeat(lease, "sft", "k", lambda: told.append(lease.lost), every=0.1):
        objects.replace(records.record_name("sft", "k"), b"of another attempt")
        time.sleep(0.6)
    assert told == ["another attempt committed first"]
