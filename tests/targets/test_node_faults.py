"""A machine that breaks under a stage is left, by a driver and an API server at HTTP level."""

from __future__ import annotations

from c2f_spec.store import records
from c2f_spec.targets.kubernetes.client import JOBS
from tests.fake_api import Ending, JobController
from tests.fake_api.pods import Instant
from tests.support.cluster_world import stored_chains
from tests.support.waiting import wait_until
from tests.targets.test_cluster_control import Driving

XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."


class Machines(Instant):
    """Pods on a broken node fail as a lost GPU makes them; elsewhere they commit."""

    def __init__(self, *args, broken, code=75) -> None:
        super().__init__(*args)
        self.broken, self.code, self.on = broken, code, []

    def __call__(self, pod, stopped):
        node = pod["spec"]["nodeName"]
        self.on.append(node)
        if node in self.broken:
            return Ending(self.code)
        return super().__call__(pod, stopped)


def logs(*lines):
    return lambda _space, _pod, _query: ["step 1", *lines, "Traceback (most recent call last):"]


def test_the_next_attempt_is_on_another_machine_and_is_no_failure_of_the_stage(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("sft",))
    api.logs = logs(XID)
    pods = Machines(api.state, objects, broken={"bad"})
    with (
        JobController(api.state, pods, nodes=("bad", "good"), backoff=5),
        Driving(plan, objects, api) as driving,
    ):
        wait_until(lambda: driving.ended)
    stage = plan.stages[0]
    assert driving.ended == "done"
    assert driving.events == [("sft", "started"), ("sft", "started"), ("sft", "done")]
    assert pods.on[-1] == "good"
    assert records.faulty_nodes(objects, stage.kind, stage.key) == ("bad",)
    (failure, *_) = records.read_failures(objects, stage.kind, stage.key)
    assert "Xid 79 of a GPU, on the node bad" in failure["message"]
    left = [job["metadata"]["name"] for job in api.state.all(JOBS)]
    assert left == [f"{stage.name}-r1"], "the Job that could have come back to the broken node is gone"


def test_a_failure_that_is_not_the_machines_stays_where_it_is(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("sft",))
    api.logs = logs("ConnectionError: the store does not answer")
    ends = {"sft": [Ending(75), Ending(75)]}
    pods = Instant(api.state, objects, ends=ends)
    with JobController(api.state, pods, nodes=("a", "b")), Driving(plan, objects, api) as driving:
        wait_until(lambda: driving.ended)
    assert driving.events == [("sft", "started"), ("sft", "done")]
    assert records.faulty_nodes(objects, "sft", plan.stages[0].key) == ()
    assert [job["metadata"]["name"] for job in api.state.all(JOBS)] == [f"{plan.stages[0].name}-r0"]


def test_a_pool_that_is_broken_altogether_ends_in_a_failure(api, objects):
    plan = stored_chains(api, objects, 1, kinds=("sft",))
    api.logs = logs(XID)
    machines = tuple(f"n{i}" for i in range(records.MAX_MOVES + 3))
    pods = Machines(api.state, objects, broken=set(machines))
    with JobController(api.state, pods, nodes=machines, backoff=5), Driving(plan, objects, api) as driving:
        wait_until(lambda: driving.ended)
    assert driving.events[-1] == ("sft", "failed")
    assert records.is_failed(objects, "sft", plan.stages[0].key)
