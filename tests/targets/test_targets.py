"""One file that every target passes: what DESIGN promises of prepare, submit, state, logs and cancel."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from typing import get_args

import pytest
from typing_extensions import get_protocol_members

from c2f_spec.plan.compile import compile_plan, load_environment
from c2f_spec.plan.pins import needed_datasets
from c2f_spec.spec.cluster import KubernetesEnvironment
from c2f_spec.spec.environment import LocalEnvironment, environment_model
from c2f_spec.spec.handoff import VllmPlace
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.targets.base import TARGETS, Backend, State, backend_of
from c2f_spec.targets.gpus import Gpus, visible_gpus
from c2f_spec.targets.kubernetes.outcomes import OutcomeRecorder
from c2f_spec.targets.kubernetes.target import Kubernetes
from c2f_spec.targets.local import Local
from tests.conftest import load_spec
from tests.fake_api import FakeApi, JobController
from tests.fake_api.pods import Instant
from tests.support.cluster_world import chains, client_of
from tests.support.fake_target import FakeTarget


@pytest.fixture(params=[*TARGETS, "fake"])
def world(request):
    """A target, a plan of fast stages, and how to let time pass."""
    return request.getfixturevalue(f"{request.param}_world")


@pytest.fixture
def kubernetes_world(tmp_path):
    """Jobs of a fake cluster, whose pods take a fifth of a second and commit."""
    objects = open_store(str(tmp_path / "store"))
    with FakeApi() as api, JobController(api.state, Instant(api.state, objects, seconds=0.2)):
        plan = chains(objects.url, 1)
        target = Kubernetes(objects, client_of(api), plan, resync=1.0)
        settler = OutcomeRecorder(target, 60)
        target.open()

        def tick():
            settler.record_all()
            target.wait()

        yield target, plan, tick
        target.close()


@pytest.fixture
def plan_of_tiny(repository, tiny_spec):
    """Three stages of a second or two, and the store they run in."""
    objects = open_store(str(repository / ".c2f" / "store"))
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


def test_every_kind_of_environment_has_a_backend_that_answers_every_question():
    questions = ("on_this_machine", "has_pools", "requires_pins", "requires_committed_tree", "ships_code")
    models = (LocalEnvironment, KubernetesEnvironment)
    for model in models:
        (kind,) = get_args(model.model_fields["kind"].annotation)
        backend = backend_of(kind)
        assert {name for name in get_protocol_members(Backend) if not hasattr(backend, name)} == set()
        assert all(isinstance(getattr(model, question), bool) for question in questions)
        assert environment_model(kind) is model
    assert len(TARGETS) == len(models)


def bring_to(target, stage, tick, *states: State):
    for _ in range(6000):  # only ends a test that hangs
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
    for listed, names in (("", []), ("-1", []), ("0", ["0"]), ("0, 2,3", ["0", "2", "3"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        assert visible_gpus() == names


def test_gpus_of_nvidia_smi_are_counted(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A800 (UUID: GPU-1)'\necho 'GPU 1: A800 (UUID: GPU-2)'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ["0", "1"]


def test_a_gpu_is_held_by_one_until_its_process_ends(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-8a")
    monkeypatch.setenv("C2F_HOME", str(tmp_path))
    mine, others = Gpus(), Gpus()
    taken = mine.take(2)
    assert taken is not None
    assert (taken.names, others.free()) == (["4", "5"], 1)
    assert others.take(2) is None
    holder = subprocess.Popen(["sleep", "60"], pass_fds=taken.locks)
    taken.close()
    assert others.free() == 1, "the process has them"
    rest = others.take(1)
    assert rest is not None
    assert (rest.names, mine.free()) == (["GPU-8a"], 0)
    rest.close()
    holder.kill()
    holder.wait()
    assert mine.free() == 3


def test_stages_on_gpus_wait_for_each_other_and_others_do_not(repository, monkeypatch, tmp_path):
    """GRPO takes all of them, so that no evaluation is put on one of them beside it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setenv("C2F_HOME", str(tmp_path))
    spec = repository / "specs" / "wide.yaml"
    spec.write_text(
        "c2f: v1\nname: wide\ndata: {train: icwsm2014-movie, render_seed: 3, limit: {train: 8, valid: 2, test: 4}}\n"
        "student: tiny\nteacher: lexicon\nfilters: {polarity_match: {}, length: null}\nsft: {steps: 1}\ngrpo: {steps: 1, batch: 3}\n"
        "evaluate: {checkpoints: [sft, grpo], datasets: [icwsm2014-movie]}\n"
    )
    loaded = load_spec(spec)
    objects = open_store(str(repository / ".c2f" / "store"))
    staged = {d: records.datasets_present(objects, d) for d in needed_datasets(loaded.experiment)}
    plan = compile_plan([loaded], staged, load_environment("local", repository, None), "local")
    target, of = Local(objects, slots=3), {}
    for stage in plan.stages:
        of.setdefault(stage.kind, []).append(stage)
    (sft,), (grpo,), (prepare,), cells = of["sft"], of["grpo"], of["prepare"], of["evaluate"]
    assert target.prepare(plan, sft).file.placement.processes == 4
    assert target.prepare(plan, grpo).file.placement.processes == 4, "3 clips, 4 answers each"
    assert not target.has_room(cells[0], [grpo])
    assert not target.has_room(grpo, [cells[0]])
    assert target.has_room(cells[1], [cells[0]])
    wide = replace(
        cells[0], placement=cells[0].placement.model_copy(update={"vllm": VllmPlace(tensor_parallel=2)})
    )
    assert (target.prepare(plan, wide).file.placement.gpus, target.has_room(wide, [wide])) == (2, True)
    assert not target.has_room(sft, [wide])
    served = VllmPlace(mode="server", url="http://localhost:8000")
    beside = replace(grpo, placement=grpo.placement.model_copy(update={"vllm": served}))
    assert target.prepare(plan, beside).file.placement.processes == 3, "the server has one"
    afar = served.model_copy(update={"url": "http://vllm:8000"})
    assert (
        target.prepare(
            plan, replace(beside, placement=grpo.placement.model_copy(update={"vllm": afar}))
        ).file.placement.processes
        == 4
    )
    assert not target.has_room(cells[0], [beside])
    assert target.has_room(prepare, [grpo])
    assert not target.has_room(prepare, [grpo, sft, cells[0]]), "three at once are the most"
    taken = Gpus().take(1)  # another `apply`
    assert taken is not None
    assert (target.has_room(grpo, []), target.has_room(cells[0], [])) == (False, True)
    taken.close()
    assert target.has_room(grpo, [])
