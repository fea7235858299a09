"""One file that every target passes: what DESIGN promises of prepare, submit, state, logs and cancel."""

from __future__ import annotations

import time

import pytest

from c2f_spec.plan.compile import compile_plan, load_environment
from c2f_spec.plan.pins import needed_datasets
from c2f_spec.store import records
from c2f_spec.store.objects import open_objects
from c2f_spec.targets.base import State
from c2f_spec.targets.kubernetes.settle import Settler
from c2f_spec.targets.kubernetes.target import Kubernetes
from c2f_spec.targets.local import Local, visible_gpus
from tests.cluster_world import chains, client_of
from tests.conftest import load_spec
from tests.fake_api import FakeApi, JobController
from tests.fake_api.pods import Instant
from tests.fake_target import FakeTarget


@pytest.fixture(params=["local", "kubernetes", "fake"])
def world(request):
    """A target, a plan of fast stages, and how to let time pass."""
    return request.getfixturevalue(f"{request.param}_world")


@pytest.fixture
def kubernetes_world(tmp_path):
    """Jobs of a fake cluster, whose pods take a fifth of a second and commit."""
    objects = open_objects(str(tmp_path / "store"))
    with FakeApi() as api, JobController(api.state, Instant(api.state, objects, seconds=0.2)):
        plan = chains(objects.url, 1)
        target = Kubernetes(objects, client_of(api), plan, resync=1.0)
        settler = Settler(target, 60)
        target.open()

        def tick():
            settler.settle()
            target.wait()

        yield target, plan, tick
        target.close()


@pytest.fixture
def plan_of_tiny(repository, tiny_spec):
    """Three stages of a second or two, and the store they run in."""
    objects = open_objects(str(repository / ".c2f" / "store"))
    loaded = load_spec(tiny_spec)
    staged = {d: records.datasets_present(objects, d) for d in needed_datasets(loaded.experiment)}
    plan = compile_plan([loaded], staged, load_environment("local", repository, None), "local")
    return plan, objects


@pytest.fixture
def local_world(plan_of_tiny):
    plan, objects = plan_of_tiny
    return Local(objects, slots=2), plan, lambda: time.sleep(0.05)


@pytest.fixture
def fake_world(plan_of_tiny):
    target = FakeTarget()
    return target, plan_of_tiny[0], target.tick


def bring_to(target, stage, tick, *states: State):
    for _ in range(1200):
        if target.state(stage).state in states:
            return target.state(stage)
        tick()
    raise AssertionError(f"{stage.name} never came to {states}: {target.state(stage)}")


def test_preparing_is_pure_and_says_the_same_twice(world):
    target, plan, _ = world
    stage = plan.stages[0]
    assert str(target.prepare(plan, stage)) == str(target.prepare(plan, stage))
    assert target.state(stage).state is State.ABSENT


def test_a_stage_goes_from_absent_to_done_and_submitting_twice_is_once(world):
    target, plan, tick = world
    stage = plan.stages[0]
    request = target.prepare(plan, stage)
    target.submit(request)
    target.submit(request)
    assert target.state(stage).state in (State.RUNNING, State.DONE)
    bring_to(target, stage, tick, State.DONE)
    target.submit(request)
    assert target.state(stage).state is State.DONE
    assert sum(line.startswith("--- attempt") for line in target.logs(stage)) == 1


def test_logs_of_what_never_ran_are_empty(world):
    target, plan, _ = world
    assert list(target.logs(plan.stages[0])) == []


def test_cancelling_what_does_not_run_is_no_error(world):
    target, plan, _ = world
    target.cancel(plan.stages[0])
    assert target.state(plan.stages[0]).state is State.ABSENT


def test_a_cancelled_stage_stops_and_can_be_submitted_again(world):
    target, plan, tick = world
    stage = plan.stages[0]
    target.submit(target.prepare(plan, stage))
    target.cancel(stage)
    assert target.state(stage).state is not State.RUNNING
    target.submit(target.prepare(plan, stage))
    bring_to(target, stage, tick, State.DONE)


def test_gpus_are_counted_as_a_child_would_see_them(monkeypatch):
    for listed, count in (("", 0), ("-1", 0), ("0", 1), ("0,2,3", 3)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        assert visible_gpus() == count
