"""The verbs about a running plan on a cluster, against an API server at HTTP level whose pods end as a test says."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from c2f_spec.execution.driver import Driver, Withdrawn
from c2f_spec.store import records
from c2f_spec.store.stage_logs import piece_name
from c2f_spec.targets.base import Phase, State
from c2f_spec.targets.kubernetes import pod_logs
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS
from c2f_spec.targets.kubernetes.control import Cluster, shell_objects
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.pod_logs import attempt_of, lines_after
from tests.fake_api import Ending, Fault, JobController
from tests.fake_api.pods import Instant, stage_of
from tests.support.cluster_world import chains, client_of, stored_chains
from tests.support.manifests import manifest
from tests.support.waiting import wait_until


def cluster(api, objects, plan):
    return Cluster(client_of(api, patience=5), objects, plan.environment)


class Driving:
    """A driver in a thread, for the time of a `with` block."""

    def __init__(self, plan, objects, api) -> None:
        self.driver = Driver(plan, objects, client_of(api), "driver-1", resync=2)
        self.events, self.ended = [], ""
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            for event in self.driver.events():
                self.events.append((event.stage.kind, event.status))
            self.ended = "done"
        except Withdrawn:
            self.ended = "withdrawn"
        except Exception as error:  # noqa: BLE001  compared by the test
            self.ended = repr(error)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.driver.halt()
        self.thread.join()


def test_a_running_plan_has_a_status_and_is_withdrawn_and_nothing_more_begins(api, objects):
    plan = stored_chains(api, objects, 1)
    control = cluster(api, objects, plan)
    with (
        JobController(api.state, Instant(api.state, objects, seconds=30)),
        Driving(plan, objects, api) as driving,
    ):
        first = plan.stages[0]
        statuses = wait_until(lambda: control.statuses(plan.stages))
        assert list(statuses) == [first.key]
        assert statuses[first.key].state is State.RUNNING
        assert statuses[first.key].phase in (Phase.STARTING, Phase.RUNNING)
        control.withdraw(plan)
        control.cancel([first], lambda _: None)
        wait_until(lambda: driving.ended)
        assert driving.ended == "withdrawn"
        assert control.statuses(plan.stages) == {}


def test_a_cancelled_stage_stays_cancelled_and_its_driver_goes_on(api, objects):
    """As `cancel SPEC STAGE` does it: the failure first, then the driver, then the Job."""
    plan = stored_chains(api, objects, 2, kinds=("prepare", "sft"))
    control = cluster(api, objects, plan)
    victim, instant = plan.stages[0], Instant(api.state, objects)

    def run(pod, stopped):
        if stage_of(api.state, pod)["key"] == victim.key:
            stopped.wait()
            return Ending(77)
        return instant(pod, stopped)

    with JobController(api.state, run), Driving(plan, objects, api) as driving:
        wait_until(lambda: victim.key in control.statuses(plan.stages))
        records.add_failure(objects, victim.kind, victim.key, {"code": 77, "message": "cancelled by me"})
        control.notify_retry(plan)
        control.cancel([victim], lambda _: None)
        wait_until(lambda: driving.ended)
        assert driving.ended == "done"
        assert sorted(driving.events)[-2:] == [("sft", "done"), ("sft", "started")]
        assert ("prepare", "failed") in driving.events
        assert ("sft", "blocked") in driving.events


def test_a_driver_of_another_plan_notices_a_forced_cancel(api, objects):
    """As `cancel SPEC --force` does it: the plan withdrawn, the failure for those that others need, then the Job."""
    mine, theirs = (stored_chains(api, objects, count, kinds=("prepare",)) for count in (2, 1))
    control = cluster(api, objects, mine)
    shared = theirs.stages[0]
    with (
        JobController(api.state, Instant(api.state, objects, seconds=20)),
        Driving(theirs, objects, api) as driving,
    ):
        wait_until(lambda: shared.key in control.statuses(mine.stages))
        control.withdraw(mine)
        records.add_failure(objects, shared.kind, shared.key, {"code": 77, "message": "cancelled by me"})
        control.notify_retry(mine)
        control.cancel([shared], lambda _: None)
        wait_until(lambda: driving.ended)
    assert driving.events == [("prepare", "started"), ("prepare", "failed")]
    assert len([j for j in api.state.writes if j[:2] == ("create", "Job")]) == 1


def test_a_running_driver_tries_a_retried_stage_again(api, objects):
    plan = stored_chains(api, objects, 2, kinds=("prepare", "sft"))
    control = cluster(api, objects, plan)
    ends = {"prepare": [Ending(65)]}
    with (
        JobController(api.state, Instant(api.state, objects, ends=ends, seconds=0.5)),
        Driving(plan, objects, api) as d,
    ):
        wait_until(lambda: ("prepare", "failed") in d.events)
        failed = next(s for s in plan.stages if records.is_failed(objects, s.kind, s.key))
        records.retry(objects, failed.kind, failed.key)
        control.notify_retry(plan)
        wait_until(lambda: d.ended)
    assert d.ended == "done"
    assert all(objects.exists(records.record_name(s.kind, s.key)) for s in plan.stages)


def test_other_plans_that_need_a_stage_are_named(api, objects):
    mine, theirs = (stored_chains(api, objects, count, kinds=("prepare",)) for count in (2, 1))
    assert set(cluster(api, objects, mine).plans_that_need(mine)) == {theirs.stages[0].key}


def test_delete_leaves_nothing(api, objects):
    plan = stored_chains(api, objects, 3, kinds=("prepare",))
    control = cluster(api, objects, plan)
    with JobController(api.state, Instant(api.state, objects, seconds=30)), Driving(plan, objects, api):
        wait_until(lambda: len(control.statuses(plan.stages)) == 3)
        named = control.deletable(plan, ())
        assert f"ConfigMap {names.plan_name(plan.digest)}" in named
        assert sum(n.startswith("Job prepare-") for n in named) == 3
        assert control.delete(plan, (), lambda _: None) == []
    assert control.deletable(plan, ()) == []
    assert [i["metadata"]["name"] for i in api.state.all(PODS)] == []


def test_what_a_driver_creates_while_its_plan_is_deleted_goes_too(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("prepare",))
    control = cluster(api, objects, plan)
    late = shell_objects(plan, plan.stages[0])

    def load_after_a_deletion(request):
        if request.method == "DELETE" and late:
            api.state.load("c2f", late.pop())

    api.after = load_after_a_deletion
    assert control.delete(plan, (), lambda _: None) == []
    assert control.deletable(plan, ()) == []
    assert not late


def test_a_shell_is_the_stages_pod_asleep(api, objects):
    plan = chains(objects.url, 1)
    stage = plan.stages[0]
    command = cluster(api, objects, plan).shell(plan, stage)
    assert command == f"kubectl exec -it -n c2f job/shell-{stage.name} -c stage -- bash"
    job = api.state.get(JOBS, "c2f", f"shell-{stage.name}")
    config = api.state.get(CONFIGMAPS, "c2f", f"shell-{stage.name}")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (7200, 0)
    assert pod["containers"][0]["command"][-2:] == ["runtime.commands.in_pod", "shell"]
    assert "stage.json" in config["data"]
    [volume] = [v for v in pod["volumes"] if "configMap" in v]
    assert volume["configMap"] == {"name": f"shell-{stage.name}"}
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] == "shell"
    # Neither the driver nor `status` takes it for the stage.
    assert cluster(api, objects, plan).statuses(plan.stages) == {}
    assert cluster(api, objects, plan).shell(plan, stage) == command  # again is no error


def test_a_shell_is_deleted_with_its_plan(api, objects):
    plan = chains(objects.url, 1)
    control = cluster(api, objects, plan)
    control.shell(plan, plan.stages[0])
    assert f"Job shell-{plan.stages[0].name}" in control.deletable(plan, ())


def test_a_shell_of_a_sharded_stage_is_one_pod(objects):
    plan = chains(objects.url, 1, kinds=("distil",))
    stage = plan.stages[0]
    wide = replace(stage, placement=stage.placement.model_copy(update={"shards": 8}))
    job = shell_objects(replace(plan, stages=(wide,)), wide)[-1]
    assert not {"completions", "parallelism", "completionMode"} & set(job["spec"])


def pod(stage, name, phase, *, code=None, annotations=None):
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
    labels = {**names.stage_labels(stage), "batch.kubernetes.io/job-name": names.job_name(stage, 0)}
    spec = {"containers": [], "nodeName": "n1"}
    status = {"phase": phase, "containerStatuses": [{"name": "stage", "state": state}]}
    return manifest("Pod", name, labels=labels, annotations=annotations, spec=spec, status=status)


def store_lines(objects, stage, attempt, *lines, part=0):
    text = "".join(f"{line}\n" for line in lines)
    objects.create(piece_name(stage.kind, stage.key, attempt, part), text.encode())


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
    plan = stored_chains(api, objects, 1)  # its driver will create another Job
    stage, control = plan.stages[0], cluster(api, objects, plan)
    api.state.load("c2f", pod(stage, "p1", "Running"))
    first = attempt_of(api.state.get(PODS, "c2f", "p1"))
    evicted = threading.Event()

    def lines(_space, name, _query):
        if name == "p2":
            yield from ("resumed from step 2", "step 3")
            return
        yield from ("boot", "step 1", "step 2")
        evicted.wait()  # the pod goes away while it is read

    api.logs = lines
    followed = []
    for line in control.logs(stage, follow=True):
        followed.append(line)
        if line == "step 2":
            store_lines(objects, stage, first, "step 1", "step 2", "saved: stopped by SIGTERM")
            api.state.delete(PODS, "c2f", "p1")
            evicted.set()
        if line.startswith("--- waiting"):
            api.state.load("c2f", pod(stage, "p2", "Succeeded", code=0))
            records.add_failure(objects, stage.kind, stage.key, {"message": "so that it is over"})
    assert followed == [
        "--- attempt 1, pod p1 on n1", "boot", "step 1", "step 2", "saved: stopped by SIGTERM",
        "--- waiting: its Job is not created yet",
        "--- attempt 2, pod p2 on n1: done", "resumed from step 2", "step 3",
    ]  # fmt: skip


def test_logs_are_followed_in_the_store_where_a_node_has_none(api, objects, monkeypatch):
    """As when the API server does not reach the node's kubelet."""
    plan = chains(objects.url, 1)
    stage, control = plan.stages[0], cluster(api, objects, plan)
    api.state.load("c2f", pod(stage, "p1", "Running"))
    attempt = attempt_of(api.state.get(PODS, "c2f", "p1"))
    api.fault = lambda request: Fault(status=502) if request.sub == "log" else None
    store_lines(objects, stage, attempt, "step 1")
    pauses = []

    def end_in_the_third_pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            store_lines(objects, stage, attempt, "step 2", part=1)
            api.state.merge(PODS, "c2f", "p1", {"status": {"phase": "Succeeded"}})

    monkeypatch.setattr(pod_logs, "time", SimpleNamespace(sleep=end_in_the_third_pause))
    before = len(api.requests)
    assert list(control.logs(stage, follow=True)) == ["--- attempt 1, pod p1 on n1", "step 1", "step 2"]
    assert pauses == [pod_logs.POLL_SECONDS] * 3, "no tight loop"
    assert len(api.requests) - before < 30


def test_logs_of_several_pods_come_side_by_side(api, objects):
    plan = chains(objects.url, 1)
    stage, control = plan.stages[0], cluster(api, objects, plan)
    for index in ("0", "1"):
        annotations = {"batch.kubernetes.io/job-completion-index": index}
        api.state.load("c2f", pod(stage, f"p{index}", "Running", annotations=annotations))

    def lines(_space, name, _query):
        yield f"from {name}"
        api.state.delete(PODS, "c2f", name)

    api.logs = lines
    records.add_failure(objects, stage.kind, stage.key, {"message": "over"})
    followed = list(control.logs(stage, follow=True))
    assert {"[0] from p0", "[1] from p1"} < set(followed)
    assert sum("attempt" in line for line in followed) == 2


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
