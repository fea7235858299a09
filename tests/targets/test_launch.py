"""Setting plans going: many objects at once, a driver after a driver, who may act, and whom a refusal is told of."""

from __future__ import annotations

import json

import pytest

from c2f_spec.spec.cluster import DefaultScheduler
from c2f_spec.targets.kubernetes import bulk_apply, driver_lease
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, LEASES
from c2f_spec.targets.kubernetes.driver_lease import Lease, LeaseLost
from c2f_spec.targets.kubernetes.errors import Rejected
from c2f_spec.targets.kubernetes.launch import is_driven, start_driver
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.manifests.stage import prepare, with_digest
from c2f_spec.targets.kubernetes.manifests.validation import error_origin
from tests.fake_api import Refusal
from tests.support.cluster_world import chains, client_of
from tests.support.waiting import Clock, wait_until


@pytest.fixture
def client(api):
    return client_of(api, patience=5)


def groups_of(plan):
    return [prepare(plan, stage) for stage in plan.stages]


def test_what_is_unchanged_is_not_sent_again(api, client):
    groups = groups_of(chains("/store", 60, kinds=("sft",)))
    assert bulk_apply.apply_all(client, groups) == (120, 0)
    assert api.state.writes[0][1] == "ConfigMap"
    before = client.transport.requests
    assert bulk_apply.apply_all(client, groups) == (0, 120)
    assert client.transport.requests - before == 2  # a page of each kind
    assert len(api.state.writes) == 120


def test_only_what_differs_is_sent(api, client):
    groups = groups_of(chains("/store", 30, kinds=("sft",)))
    bulk_apply.apply_all(client, groups)
    client.delete(JOBS, groups[7][-1]["metadata"]["name"])
    assert bulk_apply.apply_all(client, groups) == (1, 59)


def test_nothing_is_sent_when_we_may_not_act(api, client):
    def may_not():
        raise LeaseLost

    with pytest.raises(LeaseLost):
        bulk_apply.apply_all(client, groups_of(chains("/store", 30)), before=may_not)
    assert api.state.writes == []


def test_one_refusal_ends_the_rest(api, client):
    def admission(manifest):
        if manifest["kind"] == "Job":
            raise Refusal(422, "Invalid", "no", [("spec.x", "no")])

    api.admission = admission
    with pytest.raises(Rejected):
        bulk_apply.apply_all(client, groups_of(chains("/store", 200, kinds=("sft",))))
    assert len(api.requests) < 150


@pytest.mark.parametrize("same", [True, False])
def test_a_stage_that_another_version_rendered_a_moment_ago_is_there(api, client, same):
    (group,) = groups_of(chains("/store", 1, kinds=("sft",)))
    other = json.loads(json.dumps(group[-1]))
    other["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
    if not same:
        other["metadata"]["annotations"][names.KEY] = "f" * 64

    def faster(manifest):
        if manifest["kind"] == "Job":
            api.state.load("c2f", with_digest(other))

    api.admission = faster
    if same:
        bulk_apply.apply_all(client, [group])
    else:
        with pytest.raises(Rejected, match="immutable"):
            bulk_apply.apply_all(client, [group])
    (job,) = api.state.all(JOBS)
    assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 1


def end(api, name):
    condition = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}
    api.state.merge(JOBS, "c2f", name, {"status": {"conditions": [condition]}})


def test_a_driver_that_has_ended_makes_room(api, client):
    plan = chains("/store", 1)
    start_driver(client, plan)
    assert is_driven(client, plan)
    first = client.get(JOBS, names.driver_name(plan.digest))["metadata"]["uid"]
    before = len(api.state.writes)
    start_driver(client, plan)
    assert len(api.state.writes) == before
    end(api, names.driver_name(plan.digest))
    assert not is_driven(client, plan)
    start_driver(client, plan)
    assert is_driven(client, plan)
    assert client.get(JOBS, names.driver_name(plan.digest))["metadata"]["uid"] != first


def test_what_another_version_left_makes_room(api, client):
    plan = chains("/store", 1)
    start_driver(client, plan)
    end(api, names.driver_name(plan.digest))
    left = api.state.get(CONFIGMAPS, "c2f", names.plan_name(plan.digest))
    left["data"]["boot.py"] = "other"
    left["metadata"]["annotations"][names.DIGEST] = "other"
    start_driver(client, plan)
    assert client.get(CONFIGMAPS, names.plan_name(plan.digest))["data"]["boot.py"] != "other"


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(driver_lease, "time", clock)
    return clock


def lease_of(client, who, seconds=30.0):
    return Lease(client, "driver-x", who, labels={}, seconds=seconds)


class Late(Exception):
    """The lease was waited for long enough."""


def at_once(_pause):
    raise Late


def test_a_lease_that_is_renewed_is_not_taken(api, client, clock):
    one, two = lease_of(client, "one", 0.2), lease_of(client, "two", 0.2)
    one.acquire(at_once)
    end = clock.now + 2

    def wait(_pause):
        """Let half of the time pass after which the holder would stop, and its thread renew the lease."""
        clock.sleep(0.06)
        renewals = sum(method == "PUT" for method, _ in api.requests)
        wait_until(lambda: sum(method == "PUT" for method, _ in api.requests) > renewals + 1)
        if clock.now > end:
            raise Late

    with pytest.raises(Late):
        two.acquire(wait)
    one.check()
    with pytest.raises(LeaseLost):
        two.check()
    one.release()
    two.acquire(at_once)
    two.check()
    assert client.get(LEASES, "driver-x")["spec"]["leaseTransitions"] == 1
    two.release()


def test_a_lease_that_is_removed_between_two_requests_is_tried_for_again(api, client):
    """As by the driver that was done at this moment."""
    lease_of(client, "one").acquire(at_once)
    api.state.merge(LEASES, "c2f", "driver-x", {"spec": {"holderIdentity": None}})

    def removed(asked):
        if asked.method == "PUT" and api.state.all(LEASES):
            api.state.delete(LEASES, "c2f", "driver-x")

    api.fault = removed
    two = lease_of(client, "two")
    two.acquire(lambda _pause: None)
    two.check()


def test_a_silent_holder_loses_it_before_another_has_it(api, client, clock):
    """Its clock is its own: what the lease says of times is not believed."""
    one, two = lease_of(client, "one"), lease_of(client, "two")
    start = clock.now
    one.acquire(at_once)
    one._stop.set()  # as a process that is stopped, or cannot reach the server
    one._thread.join()
    api.state.merge(LEASES, "c2f", "driver-x", {"spec": {"renewTime": "2999-01-01T00:00:00.000000Z"}})
    lost = []

    def wait(pause):
        clock.sleep(pause)
        try:
            one.check()
        except LeaseLost:
            lost.append(clock.now - start)

    two.acquire(wait)
    assert 20 < lost[0] <= 22
    assert 30 < clock.now - start <= 34
    two.release()


PRIORITY = DefaultScheduler(priority="research")
BLAMED = [
    ("spec.template.spec.containers[0].image", "Required value", {}, ("environment", ("image",))),
    (
        "spec.template.spec.nodeSelector",
        "Invalid value",
        {},
        ("environment", ("pools", "cpu", "node_selector")),
    ),
    (
        "spec.template.spec.containers[0].resources.limits[memory]",
        "Invalid value",
        {},
        ("environment", ("pools", "cpu", "memory")),
    ),
    (
        "spec.template.spec.containers[0].resources.limits[nvidia.com/gpu]",
        "must be an integer",
        {"resources": {"sft": {"gpus": 3}}},
        ("spec", ("resources", "sft", "gpus")),
    ),
    ("", "no PriorityClass with name research was found", {}, ("environment", ("scheduler", "priority"))),
    ("", 'violates PodSecurity "restricted:latest"', {}, ("environment", ("pod_security",))),
    ("", "exceeded quota: team, requested: cpu=9", {}, ("environment", ("pools", "cpu"))),
    (
        "spec.template.spec.runtimeClassName",
        "not found",
        {},
        ("environment", ("pod_template", "spec", "runtimeClassName")),
    ),
    ("spec.backofLimit", "unknown field `spec.backofLimit`", {}, ("environment", ("kubernetes",))),
    ("spec.something", "nobody has heard of it", {}, ("environment", ())),
]


@pytest.mark.parametrize(("field", "message", "spec", "where"), BLAMED, ids=lambda v: str(v)[:40])
def test_a_refused_field_leads_to_what_produced_it(field, message, spec, where, tmp_path):
    plan = chains(
        tmp_path, 1, kinds=("sft",), pod_template={"spec": {"runtimeClassName": "nvidia"}}, scheduler=PRIORITY
    )
    assert error_origin(field, message, plan.stages[0], plan.environment, spec) == where
