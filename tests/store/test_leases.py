"""One holder; a stale lease goes to one of those who want it; who lost it notices."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from c2f_spec.store import leases, records
from c2f_spec.store.digest import seal
from c2f_spec.store.open import open_store
from tests.support.waiting import Clock, wait_until

NAME = leases.lease_name("sft", "k")


@pytest.fixture(params=["folder", "seaweed"])
def objects(request, url_of):
    return open_store(url_of(request.param))


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    return clock


def of_another_machine(objects, seconds: float, holder: str | None = "theirs") -> None:
    state = {"holder": holder, "machine": "another", "count": 3, "seconds": seconds}
    objects.replace(NAME, seal(state))


def test_of_eight_who_want_it_one_gets_it(objects, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.1)
    answers = []

    def want(i: int) -> bool:
        lease = leases.acquire(objects, NAME, f"a{i}", machine=f"machine {i}")
        answers.append(lease)
        while lease and len(answers) < 8:  # those who came late wait for its next beat
            assert lease.beat()
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


def test_a_stale_one_is_taken_after_its_time_and_a_free_one_at_once(objects, clock):
    of_another_machine(objects, seconds=60)
    start = clock.now
    assert leases.acquire(objects, NAME, "mine") is not None
    assert 60 <= clock.now - start < 60 + leases.BEAT_SECONDS
    of_another_machine(objects, seconds=60, holder=None)
    start = clock.now
    assert leases.acquire(objects, NAME, "mine") is not None
    assert clock.now == start


def test_one_that_beats_is_left_alone(objects, clock, monkeypatch):
    of_another_machine(objects, seconds=60)

    def beat(seconds: float) -> None:
        clock.now += seconds
        state = {"holder": "theirs", "machine": "another", "count": 4, "seconds": 60}
        objects.replace(NAME, seal(state))

    monkeypatch.setattr(clock, "sleep", beat)
    assert leases.acquire(objects, NAME, "mine") is None
    watch = leases.LeaseWatch(objects)
    assert watch.alive(NAME)
    clock.now += 61
    assert not watch.alive(NAME)


def wait_for_end_of_heartbeat() -> None:
    """Its two threads end by themselves when the lease is lost, so that nothing is called again."""
    wait_until(lambda: not any(thread.name == "lease" for thread in threading.enumerate()))


def test_who_lost_it_is_told_once(objects):
    lease, told = leases.acquire(objects, NAME, "mine"), []
    with leases.heartbeat(lease, "sft", "k", lambda: told.append(lease.lost), every=0.05):
        wait_until(lambda: lease.count >= 2)
        assert told == []
        of_another_machine(objects, seconds=60)
        wait_for_end_of_heartbeat()
    assert told == ["another attempt has taken over"]
    assert not lease.beat()


def test_who_was_outrun_is_told(objects):
    lease, told = leases.acquire(objects, NAME, "mine"), []
    with leases.heartbeat(lease, "sft", "k", lambda: told.append(lease.lost), every=0.1):
        objects.replace(records.record_name("sft", "k"), b"of another attempt")
        wait_for_end_of_heartbeat()
    assert told == ["another attempt committed first"]
