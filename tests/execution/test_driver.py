"""The driver against a fake API server: what it starts, what it survives, and what it never does twice."""

from __future__ import annotations

import random
import threading
from collections import Counter

import pytest

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.execution.driver import Driver, Halted, Withdrawn
from c2f_spec.store import records
from c2f_spec.targets.kubernetes import target as targets
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, LEASES
from c2f_spec.targets.kubernetes.errors import Rejected, Warned
from c2f_spec.targets.kubernetes.manifests import names
from tests.fake_api import Ending, Fault, JobController, refusing
from tests.fake_api.pods import Instant, commit, stage_of
from tests.support.cluster_world import client_of, environment_of, store_plan, stored_chains
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Changes are gathered for 20 ms: nothing here comes in swarms."""
    monkeypatch.setattr(targets, "GATHER_SECONDS", 0.02)


def driver_of(plan, objects, api, name="one", **settings):
    settings = {"lease_seconds": 30.0, **settings}
    driver = Driver(plan, objects, client_of(api, patience=20), name, **settings)
    watchdog = threading.Timer(300, driver.halt)  # ends a test that hangs
    watchdog.daemon = True
    watchdog.start()
    return driver


def story(driver):
    """(kind, what) of every event, in order."""
    events = [(e.stage.kind, e.status) for e in driver.events()]
    driver.finish()
    return events


def created(api):
    """Jobs by how often they were made."""
    return Counter(name for verb, kind, name in api.state.writes if (verb, kind) == ("create", "Job"))


def test_each_stage_is_started_when_its_inputs_are_committed(api, objects):
    plan = stored_chains(api, objects, 2)
    pods = Instant(api.state, objects)
    with JobController(api.state, pods):
        events = story(driver_of(plan, objects, api))
    assert Counter(events) == {(k, w): 2 for k in ("prepare", "sft", "evaluate") for w in ("started", "done")}
    assert set(created(api).values()) == {1}
    assert pods.early == []
    # Every Job may go now, and nothing of the driver is left.
    assert all(job["spec"]["ttlSecondsAfterFinished"] == 86400 for job in api.state.all(JOBS))
    assert api.state.all(LEASES) == []
    assert not [c for c in api.state.all(CONFIGMAPS) if c["metadata"]["name"].startswith("plan-")]


def test_a_job_has_no_time_to_live_until_its_outcome_is_stored(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("prepare",))
    lives = []

    def run(pod, stopped):
        job = api.state.get(JOBS, "c2f", pod["metadata"]["labels"]["job-name"])
        lives.append(job["spec"].get("ttlSecondsAfterFinished"))
        return Instant(api.state, objects)(pod, stopped)

    with JobController(api.state, run):
        story(driver_of(plan, objects, api))
    assert lives == [None]


def test_what_somebody_else_commits_in_the_meantime_is_not_started(api, objects):
    """On another cluster with the same store, say."""
    plan = stored_chains(api, objects, 1)
    sft = plan.stages[1]
    pods = Instant(api.state, objects)

    def run(pod, stopped):
        if stage_of(api.state, pod)["kind"] == "prepare":
            commit(objects, "sft", sft.key)
        return pods(pod, stopped)

    with JobController(api.state, run):
        assert story(driver_of(plan, objects, api))[-1] == ("evaluate", "done")
    assert not [name for name in created(api) if name.startswith("sft")]


def test_a_second_driver_of_what_is_done_does_nothing(api, objects):
    plan = stored_chains(api, objects, 2)
    with JobController(api.state, Instant(api.state, objects)):
        story(driver_of(plan, objects, api))
        store_plan(plan, objects, client_of(api))
        before = created(api)
        assert {what for _, what in story(driver_of(plan, objects, api))} == {"reused"}
    assert created(api) == before


def test_a_stage_that_could_not_say_why_it_failed_is_written_down(api, objects):
    plan = stored_chains(api, objects, 1)
    ends = {"sft": [Ending(137, "OOMKilled")]}
    with JobController(api.state, Instant(api.state, objects, ends=ends)):
        events = list(driver_of(plan, objects, api).events())
    assert [(e.stage.kind, e.status) for e in events][-2:] == [("sft", "failed"), ("evaluate", "blocked")]
    failed = plan.stages[1]
    (failure,) = records.read_failures(objects, "sft", failed.key)
    assert failure["code"] == StageExit.MEMORY
    assert "out of memory" in events[-2].detail
    assert api.state.get(JOBS, "c2f", f"{failed.name}-r0")["spec"]["ttlSecondsAfterFinished"]


def test_a_failure_that_the_stage_stored_is_not_written_twice(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("sft",))
    key = plan.stages[0].key

    def run(_pod, _stopped):
        records.add_failure(objects, "sft", key, {"code": 72, "message": "the loss is not finite"})
        return Ending(72)

    with JobController(api.state, run):
        (_, failed) = driver_of(plan, objects, api).events()
    assert failed.detail == "the loss is not finite"
    assert len(records.read_failures(objects, "sft", key)) == 1


def test_retry_makes_another_job(api, objects):
    plan = stored_chains(api, objects, 1)
    ends = {"sft": [Ending(64)]}
    with JobController(api.state, Instant(api.state, objects, ends=ends)):
        story(driver_of(plan, objects, api))
        failed = plan.stages[1]
        store_plan(plan, objects, client_of(api))
        assert ("sft", "failed") in story(driver_of(plan, objects, api))
        records.retry(objects, "sft", failed.key)
        store_plan(plan, objects, client_of(api))
        events = story(driver_of(plan, objects, api))
    assert events[-1] == ("evaluate", "done")
    assert {f"{failed.name}-r0", f"{failed.name}-r1"} <= set(created(api))


def test_a_retry_while_the_driver_runs_is_noticed_when_the_plan_is_touched(api, objects):
    plan = stored_chains(api, objects, 2, kinds=("prepare", "sft"))
    client = client_of(api)
    slow = threading.Event()
    instant = Instant(api.state, objects)
    first = {plan.stages[1].key}

    def run(pod, stopped):
        key = stage_of(api.state, pod)["key"]
        if key in first:
            first.discard(key)
            return Ending(64)
        if key == plan.stages[3].key:
            slow.wait()
        return instant(pod, stopped)

    with JobController(api.state, run):
        events = []
        for event in driver_of(plan, objects, api).events():
            events.append((event.stage.key, event.status))
            if events[-1] == (plan.stages[1].key, "failed"):
                records.retry(objects, "sft", plan.stages[1].key)
                patch = {"metadata": {"annotations": {"c2f-spec/retried": "now"}}}
                client.patch(CONFIGMAPS, names.plan_name(plan.digest), patch)
            if events[-1] == (plan.stages[1].key, "done"):
                slow.set()
    assert events[-1] == (plan.stages[3].key, "done")


def test_broken_hardware_is_forgiven_and_its_node_avoided(api, objects):
    api.logs = lambda *_: ["step 10", "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."]
    ends = {"sft": [Ending(75)]}
    limits = environment_of(objects.url).limits.model_copy(update={"retries": 0})
    plan = stored_chains(api, objects, 1, kinds=("sft",), limits=limits)
    with JobController(api.state, Instant(api.state, objects, ends=ends)):
        events = story(driver_of(plan, objects, api))
    assert events == [("sft", "started"), ("sft", "started"), ("sft", "done")]
    assert records.faulty_nodes(objects, "sft", plan.stages[0].key) == ("fake-node",)
    again = api.state.get(JOBS, "c2f", f"{plan.stages[0].name}-r1")
    assert "fake-node" in str(again["spec"]["template"]["spec"]["affinity"])


def test_a_job_that_fails_on_a_broken_machine_and_goes_on_is_moved(api, objects):
    """The Job has retries left, and the next pod would as likely as not come to the same node."""
    plan = stored_chains(api, objects, 1, kinds=("sft",))
    api.logs = lambda *_: ["CUDA error: uncorrectable ECC error encountered"]
    ends = iter([Ending(75)])

    def run(pod, stopped):
        ending = next(ends, None)
        if ending is not None:
            return ending
        first = pod["metadata"]["labels"]["job-name"].endswith("-r0")
        return Instant(api.state, objects, seconds=10 if first else 0)(pod, stopped)

    with JobController(api.state, run):
        events = story(driver_of(plan, objects, api))
    assert events == [("sft", "started"), ("sft", "started"), ("sft", "done")]
    assert records.faulty_nodes(objects, "sft", plan.stages[0].key) == ("fake-node",)
    assert [n[-3:] for n in created(api)] == ["-r0", "-r1"]


def test_a_plan_that_is_not_wanted_any_more_is_not_driven(api, objects):
    plan = stored_chains(api, objects, 1)
    client = client_of(api)
    with JobController(api.state, Instant(api.state, objects)), pytest.raises(Withdrawn):
        for event in driver_of(plan, objects, api).events():
            if (event.stage.kind, event.status) == ("prepare", "started"):
                client.delete(CONFIGMAPS, names.plan_name(plan.digest))
    assert len(created(api)) == 1


def test_a_driver_that_is_halted_stops_and_the_next_does_not_wait_for_its_lease(api, objects):
    plan = stored_chains(api, objects, 1)
    with JobController(api.state, Instant(api.state, objects, seconds=0.3)):
        first = driver_of(plan, objects, api, lease_seconds=3600.0)
        with pytest.raises(Halted):
            for _ in first.events():
                first.halt()
        assert story(driver_of(plan, objects, api, "two", lease_seconds=3600.0))[-1] == ("evaluate", "done")
    assert set(created(api).values()) == {1}


def test_of_two_drivers_one_acts(api, objects):
    plan = stored_chains(api, objects, 3)
    events = {}

    def drive(name):
        events[name] = story(driver_of(plan, objects, api, name))

    with JobController(api.state, Instant(api.state, objects, seconds=0.2)):
        threads = [threading.Thread(target=drive, args=(n,)) for n in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(created(api).values()) == {1}
    started = [name for name, events in events.items() if ("sft", "started") in events]
    assert len(started) == 1


def test_a_driver_whose_lease_was_taken_stands_by(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("prepare", "sft"))
    client = client_of(api)
    driver = driver_of(plan, objects, api, lease_seconds=1.0)
    with JobController(api.state, Instant(api.state, objects, seconds=1.0)):
        events = []
        for event in driver.events():
            events.append((event.stage.kind, event.status))
            if events == [("prepare", "started")]:
                lease = client.get(LEASES, names.driver_name(plan.digest))
                change = {"spec": {"holderIdentity": "thief"}}
                api.state.merge(LEASES, "c2f", lease["metadata"]["name"], change)
    # It looked at everything again when the thief had been silent for long enough.
    assert events[-1] == ("sft", "done")
    assert set(created(api).values()) == {1}


@pytest.mark.parametrize("seed", range(2))
def test_a_fifth_of_all_requests_fails_and_the_plan_is_run(api, objects, seed):
    dice = random.Random(seed)
    plan = stored_chains(api, objects, 2)
    answers = [Fault(status=429), Fault(status=500), Fault(status=503, retry_after=0)]
    faults = [*answers, Fault(drop="before"), Fault(drop="after")]
    api.fault = lambda asked: (
        dice.choice(faults) if dice.random() < 0.2 and not asked.query.get("watch") else None
    )
    with JobController(api.state, Instant(api.state, objects)):
        assert story(driver_of(plan, objects, api))[-1] == ("evaluate", "done")
    assert set(created(api).values()) == {1}


def test_a_server_that_restarts_and_forgets_loses_nothing(api, objects):
    plan = stored_chains(api, objects, 2)

    driver = driver_of(plan, objects, api)
    transport = driver.target.client.transport

    def restart_in_each_kind():
        for kind in ("prepare", "sft"):
            wait_until(lambda kind=kind: any(name.startswith(kind) for name in created(api)))
            api.down()
            api.state.forget()
            sent = transport.requests
            wait_until(lambda sent=sent: transport.requests > sent)
            api.up()

    with JobController(api.state, Instant(api.state, objects, seconds=0.3)):
        thread = threading.Thread(target=restart_in_each_kind)
        thread.start()
        assert story(driver)[-1] == ("evaluate", "done")
        thread.join()
    assert set(created(api).values()) == {1}


def test_a_job_of_another_stage_with_our_name_is_an_error(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("prepare",))
    driver = driver_of(plan, objects, api)
    (stage,) = plan.stages
    other = driver.target.prepare(plan, stage).objects[-1]
    other["metadata"]["annotations"][names.KEY] = "f" * 64
    api.state.load("c2f", other)
    with pytest.raises(Unreachable, match="belongs to another stage"):
        story(driver)


def test_a_job_whose_pods_would_be_refused_is_not_left_to_wait(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("prepare",))
    api.admission = lambda m: ["would violate PodSecurity"] if m["kind"] == "Job" else None
    with pytest.raises(Warned, match="would violate PodSecurity"):
        story(driver_of(plan, objects, api))
    assert api.state.all(JOBS) == []


def test_a_refused_job_is_reported_with_its_field(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("prepare",))

    causes = [("spec.template.spec.containers[0].image", "Invalid value")]
    api.admission = refusing(422, "Invalid", "no", causes, kind="Job")
    with pytest.raises(Rejected) as caught:
        story(driver_of(plan, objects, api))
    assert caught.value.causes[0].field == "spec.template.spec.containers[0].image"
