"""The verbs about a running plan on a cluster: against an API server at HTTP level, with pods that end as they are told."""

from __future__ import annotations

import threading
import time

import pytest

from c2f_spec.execution.driver import Driver, Withdrawn
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.store.stage_logs import piece_name
from c2f_spec.targets.base import Phase, State
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS
from c2f_spec.targets.kubernetes.control import Cluster, shell_objects
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.pod_logs import attempt_of, lines_after
from tests.fake_api import FakeApi, Fault, JobController
from tests.fake_api.pods import Instant
from tests.support.cluster_world import chains, client_of, wished


@pytest.fixture
def api():
    with FakeApi() as fake:
        yield fake


@pytest.fixture
def objects(tmp_path):
    return open_store(str(tmp_path / "store"))


def cluster(api, objects, plan):
    return Cluster(client_of(api, patience=5), objects, plan.environment)


def until(what, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came to be")


class Driving:
    """A driver in a thread, for the time of a `with` block."""

    def __init__(self, plan, objects, api) -> None:
        self.driver = Driver(plan, objects, client_of(api), "driver-1", lease_seconds=5, resync=2)
        self.events, self.ended = [], ""
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            for event in self.driver.events():
                self.events.append((event.stage.kind, event.status))
            self.ended = "done"
        except Withdrawn:
            self.ended = "withdrawn"
        except Exception as error:  # noqa: BLE001  what a test sees when it looks
            self.ended = repr(error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.driver.halt()
        self.thread.join(timeout=10)


def test_a_running_plan_is_seen_and_withdrawn_and_nothing_more_begins(api, objects):
    plan = chains(objects.url, 1)
    wished(plan, objects, client_of(api))
    control = cluster(api, objects, plan)
    with (
        JobController(api.state, Instant(api.state, objects, seconds=30)),
        Driving(plan, objects, api) as driving,
    ):
        first = plan.stages[0]
        until(lambda: control.statuses(plan.stages))
        known = control.statuses(plan.stages)
        assert list(known) == [first.key]
        assert known[first.key].state is State.RUNNING
        assert known[first.key].phase in (Phase.STARTING, Phase.RUNNING)
        control.withdraw(plan)
        said = []
        control.cancel([first], said.append)
        until(lambda: driving.ended)
        assert driving.ended == "withdrawn"
        assert control.statuses(plan.stages) == {}


def test_a_cancelled_stage_stays_cancelled_and_its_driver_goes_on(api, objects):
    """As `cancel SPEC STAGE` does it: the failure first, then the driver, then the Job."""
    plan = chains(objects.url, 2, kinds=("prepare", "sft"))
    wished(plan, objects, client_of(api))
    control = cluster(api, objects, plan)
    slow = Instant(api.state, objects, seconds=3)
    with JobController(api.state, slow), Driving(plan, objects, api) as driving:
        victim = plan.stages[0]
        until(lambda: victim.key in control.statuses(plan.stages))
        records.add_failure(objects, victim.kind, victim.key, {"code": 77, "message": "cancelled by me"})
        control.notify_retry(plan)
        control.cancel([victim], lambda _: None)
        until(lambda: driving.ended)
        assert driving.ended == "done"
        assert sorted(driving.events)[-2:] == [("sft", "done"), ("sft", "started")]
        assert ("prepare", "failed") in driving.events
        assert ("sft", "blocked") in driving.events


def test_a_driver_of_another_plan_is_told_of_a_forced_cancel(api, objects):
    """As `cancel SPEC --force` does it: the plan withdrawn, the failure for those that others need, then the Job."""
    mine, theirs = chains(objects.url, 2, kinds=("prepare",)), chains(objects.url, 1, kinds=("prepare",))
    for plan in (mine, theirs):
        wished(plan, objects, client_of(api))
    control = cluster(api, objects, mine)
    shared = theirs.stages[0]
    with (
        JobController(api.state, Instant(api.state, objects, seconds=20)),
        Driving(theirs, objects, api) as driving,
    ):
        until(lambda: shared.key in control.statuses(mine.stages))
        control.withdraw(mine)
        records.add_failure(objects, shared.kind, shared.key, {"code": 77, "message": "cancelled by me"})
        control.notify_retry(mine)
        control.cancel([shared], lambda _: None)
        until(lambda: driving.ended)
    assert driving.events == [("prepare", "started"), ("prepare", "failed")]
    assert len([j for j in api.state.writes if j[:2] == ("create", "Job")]) == 1


def test_retry_makes_a_running_driver_try_again(api, objects):
    from tests.fake_api import Ending

    plan = chains(objects.url, 2, kinds=("prepare", "sft"))
    wished(plan, objects, client_of(api))
    control = cluster(api, objects, plan)
    ends = {"prepare": [Ending(65)]}
    with (
        JobController(api.state, Instant(api.state, objects, ends=ends, seconds=0.5)),
        Driving(plan, objects, api) as d,
    ):
        until(lambda: ("prepare", "failed") in d.events)
        failed = next(s for s in plan.stages if records.is_failed(objects, s.kind, s.key))
        records.retry(objects, failed.kind, failed.key)
        control.notify_retry(plan)
        until(lambda: d.ended)
    assert d.ended == "done"
    assert all(objects.exists(records.record_name(s.kind, s.key)) for s in plan.stages)


def test_who_else_needs_a_stage_is_named(api, objects):
    mine, theirs = chains(objects.url, 2, kinds=("prepare",)), chains(objects.url, 1, kinds=("prepare",))
    for plan in (mine, theirs):
        wished(plan, objects, client_of(api))
    found = cluster(api, objects, mine).plans_that_need(mine)
    assert set(found) == {theirs.stages[0].key}


def test_delete_leaves_nothing(api, objects):
    plan = chains(objects.url, 3, kinds=("prepare",))
    wished(plan, objects, client_of(api))
    control = cluster(api, objects, plan)
    with JobController(api.state, Instant(api.state, objects, seconds=30)), Driving(plan, objects, api):
        until(lambda: len(control.statuses(plan.stages)) == 3)
        named = control.deletable(plan, ())
        assert f"ConfigMap {names.plan_name(plan.digest)}" in named
        assert sum(n.startswith("Job prepare-") for n in named) == 3
        assert control.delete(plan, (), lambda _: None) == []
    assert control.deletable(plan, ()) == []
    assert [i["metadata"]["name"] for i in api.state.all(PODS)] == []


def test_what_a_driver_was_making_while_its_plan_was_deleted_goes_too(api, objects):
    plan = chains(objects.url, 1, kinds=("prepare",))
    wished(plan, objects, client_of(api))
    control = cluster(api, objects, plan)
    late = shell_objects(plan, plan.stages[0])

    def after(asked):
        """The first removal is answered, and then another object of the plan appears."""
        if asked.method == "DELETE" and late:
            api.state.load("c2f", late.pop())

    api.after = after
    assert control.delete(plan, (), lambda _: None) == []
    assert control.deletable(plan, ()) == []
    assert not late


def test_a_shell_is_the_stages_pod_asleep(api, objects):
    plan = chains(objects.url, 1)
    stage = plan.stages[0]
    told = cluster(api, objects, plan).shell(plan, stage)
    assert told == f"kubectl exec -it -n c2f job/shell-{stage.name} -c stage -- bash"
    job = api.state.get(JOBS, "c2f", f"shell-{stage.name}")
    config = api.state.get(CONFIGMAPS, "c2f", f"shell-{stage.name}")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (7200, 0)
    assert pod["containers"][0]["command"][-2:] == ["runtime.commands.in_pod", "shell"]
    assert "stage.json" in config["data"]
    assert {"configMap": {"name": f"shell-{stage.name}"}}.items() <= next(
        v for v in pod["volumes"] if "configMap" in v
    ).items()
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] == "shell"
    # Nobody takes it for the stage: neither the driver nor `status`.
    assert cluster(api, objects, plan).statuses(plan.stages) == {}
    assert cluster(api, objects, plan).shell(plan, stage) == told  # again is no error


def test_what_a_shell_makes_is_deleted_with_its_plan(api, objects):
    plan = chains(objects.url, 1)
    control = cluster(api, objects, plan)
    control.shell(plan, plan.stages[0])
    assert f"Job shell-{plan.stages[0].name}" in control.deletable(plan, ())


def test_a_shell_of_a_sharded_stage_is_one_pod(objects):
    from dataclasses import replace

    plan = chains(objects.url, 1, kinds=("distil",))
    stage = plan.stages[0]
    wide = replace(stage, placement=stage.placement.model_copy(update={"shards": 8}))
    job = shell_objects(replace(plan, stages=(wide,)), wide)[-1]
    assert not {"completions", "parallelism", "completionMode"} & set(job["spec"])


def pod(stage, name, phase, *, uid=None, node="n1", code=None):
    parent = names.job_name(stage, 0)
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
    labels = {**names.stage_labels(stage), "batch.kubernetes.io/job-name": parent}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [], "nodeName": node},
        "status": {"phase": phase, "containerStatuses": [{"name": "stage", "state": state}]},
    }  # fmt: skip


def store_lines(objects, stage, attempt, *lines):
    objects.create(
        piece_name(stage.kind, stage.key, attempt, 0), "".join(f"{line}\n" for line in lines).encode()
    )


def test_logs_come_from_pods_while_they_are_there_and_from_the_store_after(api, objects):
    plan = chains(objects.url, 1)
    stage, control = plan.stages[0], cluster(api, objects, plan)
    store_lines(objects, stage, "a" * 32, "one", "two")
    api.state.load("c2f", pod(stage, "p2", "Failed", code=75))
    second = attempt_of(api.state.get(PODS, "c2f", "p2"))
    store_lines(objects, stage, second, "three")
    api.logs = lambda _space, name, _query: [f"boot of {name}", "three", "four"]
    assert list(control.logs(stage)) == [
        "--- attempt 1 (its pod is gone; from the store)", "one", "two",
        "--- attempt 2, pod p2 on n1: temporary failure of storage, network or another process",
        "boot of p2", "three", "four",
    ]  # fmt: skip


def test_logs_are_followed_across_a_pod_that_is_evicted(api, objects):
    plan = chains(objects.url, 1)
    stage, control = plan.stages[0], cluster(api, objects, plan)
    wished(plan, objects, client_of(api))  # whoever drives it will make another Job
    api.state.load("c2f", pod(stage, "p1", "Running"))
    first = attempt_of(api.state.get(PODS, "c2f", "p1"))
    evicted = threading.Event()

    def lines(_space, name, _query):
        if name == "p2":
            yield from ("resumed from step 2", "step 3")
            return
        yield from ("boot", "step 1", "step 2")
        evicted.wait(10)  # the pod goes away under whoever reads it

    api.logs = lines

    def evict():
        time.sleep(0.3)
        store_lines(objects, stage, first, "step 1", "step 2", "saved: stopped by SIGTERM")
        api.state.delete(PODS, "c2f", "p1")
        evicted.set()
        time.sleep(0.5)
        api.state.load("c2f", pod(stage, "p2", "Succeeded", code=0))
        records.add_failure(objects, stage.kind, stage.key, {"message": "so that it is over"})

    threading.Thread(target=evict, daemon=True).start()
    assert list(control.logs(stage, follow=True)) == [
        "--- attempt 1, pod p1 on n1", "boot", "step 1", "step 2", "saved: stopped by SIGTERM",
        "--- waiting: its Job is not created yet",
        "--- attempt 2, pod p2 on n1: done", "resumed from step 2", "step 3",
    ]  # fmt: skip


def test_logs_are_followed_in_the_store_where_a_node_gives_none(api, objects):
    """As when the API server does not reach the node's kubelet."""
    plan = chains(objects.url, 1)
    stage, control = plan.stages[0], cluster(api, objects, plan)
    api.state.load("c2f", pod(stage, "p1", "Running"))
    attempt = attempt_of(api.state.get(PODS, "c2f", "p1"))
    api.fault = lambda asked: Fault(status=502) if asked.sub == "log" else None
    store_lines(objects, stage, attempt, "step 1")

    def end():
        time.sleep(1)
        objects.create(piece_name(stage.kind, stage.key, attempt, 1), b"step 2\n")
        api.state.merge(PODS, "c2f", "p1", {"status": {"phase": "Succeeded"}})

    threading.Thread(target=end, daemon=True).start()
    asked = len(api.requests)
    assert list(control.logs(stage, follow=True)) == ["--- attempt 1, pod p1 on n1", "step 1", "step 2"]
    assert len(api.requests) - asked < 30, "no tight loop"


def test_logs_of_several_pods_come_side_by_side(api, objects):
    plan = chains(objects.url, 1)
    stage, control = plan.stages[0], cluster(api, objects, plan)
    for index in (0, 1):
        made = pod(stage, f"p{index}", "Running")
        made["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
        api.state.load("c2f", made)

    def lines(_space, name, _query):
        yield f"from {name}"
        api.state.delete(PODS, "c2f", name)

    api.logs = lines
    records.add_failure(objects, stage.kind, stage.key, {"message": "over"})
    found = list(control.logs(stage, follow=True))
    assert {"[0] from p0", "[1] from p1"} < set(found)
    assert sum("attempt" in line for line in found) == 2


@pytest.mark.parametrize(
    ("lines", "known", "rest"),
    [
        (["a", "b", "c"], ["a", "b"], ["c"]),
        (["a", "b", "c"], ["boot", "a", "b"], ["c"]),
        (["a", "b"], ["boot", "a", "b", "c", "d"], []),
        (["x", "x", "x", "y"], ["x", "x", "x"], ["y"]),
        (["a", "b"], ["boot"], ["a", "b"]),
        (["a"], [], ["a"]),
        ([], ["a"], []),
    ],
)
def test_where_the_store_takes_over(lines, known, rest):
    assert lines_after(lines, known) == rest
