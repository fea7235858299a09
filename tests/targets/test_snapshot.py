"""What `status`, `cancel` and `delete` read of a cluster, at HTTP level."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from c2f_spec.targets.base import Phase, State
from c2f_spec.targets.kubernetes import plan_objects
from c2f_spec.targets.kubernetes.client import EVENTS, JOBS, WORKLOADS, Client
from c2f_spec.targets.kubernetes.kubeconfig import Access, Anonymous
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.plan_objects import other_plans, running_plans
from c2f_spec.targets.kubernetes.snapshot import load_snapshot, target_status
from tests.fake_api import FakeApi, Fault

PLAN, OTHER = "a" * 64, "b" * 64


def stage(kind, letter):
    key = letter * 64
    return SimpleNamespace(kind=kind, key=key, name=f"{kind}-{key[:10]}")


SFT, GRPO = stage("sft", "1"), stage("grpo", "2")


def job(of, tries=0, **rest):
    metadata = {
        "name": names.job_name(of, tries),
        "labels": names.stage_labels(of),
        "annotations": {names.KEY: of.key},
    }
    spec = {"template": {"metadata": {}, "spec": {}}, **rest}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def pod(of, tries=0, *, phase="Pending", name="", **status):
    parent = names.job_name(of, tries)
    labels = {**names.stage_labels(of), "batch.kubernetes.io/job-name": parent}
    metadata = {"name": name or f"{parent}-x", "labels": labels}
    spec = {
        "containers": [{"name": "stage", "resources": {"limits": {"nvidia.com/gpu": "8"}}}],
        "nodeName": status.pop("node", None),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": phase, **status},
    }


def plan_map(digest, name, *stages):
    data = {
        "digest": digest,
        "name": name,
        "keys": json.dumps([{"kind": s.kind, "key": s.key} for s in stages]),
    }
    metadata = {"name": names.plan_name(digest), "labels": names.plan_labels(digest, "plan")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def driver(digest, *conditions):
    metadata = {"name": names.driver_name(digest), "labels": names.plan_labels(digest, "driver")}
    listed = [{"type": c, "status": "True"} for c in conditions]
    spec = {"template": {"metadata": {}, "spec": {}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": spec,
        "status": {"conditions": listed},
    }


def config_map(of, tries=0):
    metadata = {"name": names.job_name(of, tries), "labels": names.stage_labels(of)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


@pytest.fixture
def api():
    with FakeApi() as fake:
        yield fake


@pytest.fixture
def client(api):
    return Client(Access(api.url, "c2f", Anonymous()), patience=2)


UNSCHEDULABLE = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    "message": "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2",
}  # fmt: skip


def test_one_view_says_where_every_stage_is(api, client):
    running_pod = pod(
        SFT, phase="Running", node="n1", containerStatuses=[{"name": "stage", "state": {"running": {}}}]
    )
    api.state.load("c2f", job(SFT), running_pod, job(GRPO), pod(GRPO, conditions=[UNSCHEDULABLE]))
    found = {key: target_status(seen) for key, seen in load_snapshot(client, [SFT, GRPO], "default").items()}
    assert (found[SFT.key].phase, found[SFT.key].detail) == (Phase.RUNNING, "on node n1")
    assert found[GRPO.key].phase is Phase.QUEUED
    assert found[GRPO.key].detail.startswith("needs 8 GPUs on one node; no node of 2 fits")
    assert found[GRPO.key].state is State.RUNNING
    assert found[GRPO.key].remedy


def test_of_several_jobs_of_a_stage_the_latest_counts(api, client):
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}
    api.state.load("c2f", {**job(SFT, 9), "status": failed}, job(SFT, 10))
    found = load_snapshot(client, [SFT], "default")
    assert found[SFT.key].job["metadata"]["name"].endswith("-r10")


def test_events_are_asked_of_what_waits_alone(api, client):
    api.state.load("c2f", job(SFT), job(GRPO), pod(GRPO, phase="Running", node="n"))
    made = api.state.get(JOBS, "c2f", names.job_name(SFT, 0))
    about = {"kind": "Job", "name": made["metadata"]["name"], "uid": made["metadata"]["uid"]}
    refused = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e1"}, "involvedObject": about, "type": "Warning",
        "reason": "FailedCreate", "message": 'pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces',
    }  # fmt: skip
    api.state.create(EVENTS, "c2f", refused)
    found = load_snapshot(client, [SFT, GRPO], "default")
    assert "Pod Security `restricted:latest` forbids its pods" in target_status(found[SFT.key]).detail
    assert sum("/events" in path for _, path in api.requests) == 1


def test_kueues_word_comes_by_the_owner(api, client):
    api.state.load("c2f", job(SFT, suspend=True))
    made = api.state.get(JOBS, "c2f", names.job_name(SFT, 0))
    message = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a800, 8 more needed"
    workload = {
        "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "spec": {},
        "metadata": {"name": "job-sft", "ownerReferences": [{"uid": made["metadata"]["uid"]}]},
        "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}]},
    }  # fmt: skip
    api.state.create(WORKLOADS, "c2f", workload)
    assert (
        target_status(load_snapshot(client, [SFT], "kueue")[SFT.key]).detail
        == "waiting for quota: 8 more nvidia.com/gpu of flavor a800"
    )
    api.fault = lambda asked: Fault(status=403) if "workloads" in asked.path else None
    assert (
        target_status(load_snapshot(client, [SFT], "kueue")[SFT.key]).detail
        == "waiting for its queue (the Job is suspended)"
    )


def test_a_thousand_stages_take_a_handful_of_requests(api, client):
    stages = [
        SimpleNamespace(kind="sft", key=f"{n:064x}"[::-1], name=f"sft-{f'{n:064x}'[::-1][:10]}")
        for n in range(1000)
    ]
    for each in stages:
        api.state.create(JOBS, "c2f", job(each))
        api.state.load("c2f", pod(each, phase="Running", node="n"))
    assert len(load_snapshot(client, stages, "default")) == 1000
    assert len(api.requests) <= 4


def test_who_else_needs_a_stage(api, client):
    api.state.load("c2f", plan_map(PLAN, "mine", SFT, GRPO), plan_map(OTHER, "theirs", SFT), driver(OTHER))
    found = running_plans(client)
    assert {plan.name for plan in found} == {"mine", "theirs"}
    assert other_plans(found, PLAN) == {SFT.key: ("theirs",)}


def test_a_plan_whose_driver_has_ended_needs_nothing(api, client):
    api.state.load("c2f", plan_map(OTHER, "theirs", SFT), driver(OTHER, "Failed"))
    assert running_plans(client) == []


def everything(api):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "labels": names.stage_labels(GRPO)},
        "spec": {},
    }
    lease = {"metadata": {"name": "driver", "labels": names.plan_labels(PLAN, "driver")}}
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "somebody-elses"}}
    api.state.load(
        "c2f", job(SFT), job(GRPO), job(GRPO, 1), config_map(SFT), config_map(GRPO), service, foreign,
        plan_map(PLAN, "mine", SFT, GRPO), plan_map(OTHER, "theirs", SFT), driver(PLAN), driver(OTHER),
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease},
    )  # fmt: skip


def test_delete_leaves_nothing_of_a_plan_and_all_of_the_others(api, client):
    everything(api)
    found = plan_objects.objects_of_plan(
        plan_objects.list_objects(client),
        PLAN,
        [SFT.key, GRPO.key],
        kept=other_plans(running_plans(client), PLAN),
    )
    assert str(found[0]) == f"Job {names.driver_name(PLAN)}"  # or it would make again what is removed
    assert {str(f) for f in found} == {
        f"Job {names.driver_name(PLAN)}", f"ConfigMap {names.plan_name(PLAN)}", "Lease driver", "Service s",
        f"Job {names.job_name(GRPO, 0)}", f"Job {names.job_name(GRPO, 1)}", f"ConfigMap {names.job_name(GRPO, 0)}",
    }  # fmt: skip
    plan_objects.delete_objects(client, found)
    assert plan_objects.wait_until_deleted(client, found, seconds=5, report=lambda _: None) == []
    left = {str(f) for f in plan_objects.list_objects(client)}
    assert left == {
        f"Job {names.job_name(SFT, 0)}", f"ConfigMap {names.job_name(SFT, 0)}",
        f"Job {names.driver_name(OTHER)}", f"ConfigMap {names.plan_name(OTHER)}",
    }  # fmt: skip


def test_what_does_not_go_is_named(api, client):
    api.state.load("c2f", job(GRPO), pod(GRPO, phase="Running"))  # a pod that nobody owns
    found = plan_objects.objects_of_plan(plan_objects.list_objects(client), PLAN, [GRPO.key], kept=())
    plan_objects.delete_objects(client, found)
    said = []
    left = plan_objects.wait_until_deleted(client, found, seconds=0.6, report=said.append)
    assert [str(f) for f in left] == [f"Pod {names.job_name(GRPO, 0)}-x"]
    assert said == ["1 pod still terminating"]


def test_a_kind_that_the_cluster_does_not_have_is_no_obstacle(api, client):
    everything(api)
    api.fault = lambda asked: Fault(status=404) if "podgroups" in asked.path else None
    assert len(plan_objects.list_objects(client)) == 11
