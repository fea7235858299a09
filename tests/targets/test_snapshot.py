"""What `status`, `cancel` and `delete` read of a cluster, at HTTP level."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from c2f_spec.targets.base import Phase, State
from c2f_spec.targets.kubernetes import plan_objects
from c2f_spec.targets.kubernetes.client import EVENTS, JOBS, WORKLOADS
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.plan_objects import other_plans, running_plans
from c2f_spec.targets.kubernetes.snapshot import load_snapshot, target_status
from tests.fake_api import Fault
from tests.support.cluster_world import client_of
from tests.support.manifests import manifest

PLAN, OTHER = "a" * 64, "b" * 64


def stage(kind, key):
    return SimpleNamespace(kind=kind, key=key, name=f"{kind}-{key[:10]}")


SFT, GRPO = stage("sft", "1" * 64), stage("grpo", "2" * 64)


TEMPLATE = {"template": {"metadata": {}, "spec": {}}}


def job(stage, retries=0, status=None, **spec):
    labels, annotations = names.stage_labels(stage), {names.KEY: stage.key}
    fields = {"spec": {**TEMPLATE, **spec}, "status": status or {}}
    return manifest("Job", names.job_name(stage, retries), labels=labels, annotations=annotations, **fields)


def pod(stage, *, phase="Pending", node=None, **status):
    parent = names.job_name(stage, 0)
    labels = {**names.stage_labels(stage), "batch.kubernetes.io/job-name": parent}
    containers = [{"name": "stage", "resources": {"limits": {"nvidia.com/gpu": "8"}}}]
    spec = {"containers": containers, "nodeName": node}
    return manifest("Pod", f"{parent}-x", labels=labels, spec=spec, status={"phase": phase, **status})


def plan_map(digest, name, *stages):
    keys = json.dumps([{"kind": s.kind, "key": s.key} for s in stages])
    data = {"digest": digest, "name": name, "keys": keys}
    return manifest("ConfigMap", names.plan_name(digest), labels=names.plan_labels(digest, "plan"), data=data)


def driver(digest, *conditions):
    status = {"conditions": [{"type": c, "status": "True"} for c in conditions]}
    labels = names.plan_labels(digest, "driver")
    return manifest("Job", names.driver_name(digest), labels=labels, spec=TEMPLATE, status=status)


def config_map(stage):
    return manifest("ConfigMap", names.job_name(stage, 0), labels=names.stage_labels(stage))


@pytest.fixture
def client(api):
    return client_of(api, patience=2)


UNSCHEDULABLE = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    "message": "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2",
}  # fmt: skip


def test_a_snapshot_has_the_status_of_every_stage(api, client):
    running = [{"name": "stage", "state": {"running": {}}}]
    pods = (
        pod(SFT, phase="Running", node="n1", containerStatuses=running),
        pod(GRPO, conditions=[UNSCHEDULABLE]),
    )
    api.state.load("c2f", job(SFT), job(GRPO), *pods)
    snapshot = load_snapshot(client, [SFT, GRPO], "default")
    sft, grpo = target_status(snapshot[SFT.key]), target_status(snapshot[GRPO.key])
    assert (sft.phase, sft.detail) == (Phase.RUNNING, "on node n1")
    assert (grpo.phase, grpo.state) == (Phase.QUEUED, State.RUNNING)
    assert grpo.detail.startswith("needs 8 GPUs on one node; no node of 2 fits")
    assert grpo.remedy


def test_of_several_jobs_of_a_stage_the_latest_counts(api, client):
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}
    api.state.load("c2f", job(SFT, 9, status=failed), job(SFT, 10))
    snapshot = load_snapshot(client, [SFT], "default")
    assert snapshot[SFT.key].job["metadata"]["name"].endswith("-r10")


def test_events_are_listed_for_what_waits_alone(api, client):
    api.state.load("c2f", job(SFT), job(GRPO), pod(GRPO, phase="Running", node="n"))
    metadata = api.state.get(JOBS, "c2f", names.job_name(SFT, 0))["metadata"]
    about = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    message = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces'
    refused = {"involvedObject": about, "type": "Warning", "reason": "FailedCreate", "message": message}
    api.state.create(EVENTS, "c2f", manifest("Event", "e1", **refused))
    snapshot = load_snapshot(client, [SFT, GRPO], "default")
    assert "Pod Security `restricted:latest` forbids its pods" in target_status(snapshot[SFT.key]).detail
    assert sum("/events" in path for _, path in api.requests) == 1


def test_the_reason_of_kueue_is_read_from_the_workload_of_the_job(api, client):
    api.state.load("c2f", job(SFT, suspend=True))
    uid = api.state.get(JOBS, "c2f", names.job_name(SFT, 0))["metadata"]["uid"]
    message = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a800, 8 more needed"
    pending = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
    workload = manifest("Workload", "job-sft", owners=[uid], spec={}, status={"conditions": [pending]})
    api.state.create(WORKLOADS, "c2f", workload)

    def detail():
        return target_status(load_snapshot(client, [SFT], "kueue")[SFT.key]).detail

    assert detail() == "waiting for quota: 8 more nvidia.com/gpu of flavor a800"
    api.fault = lambda request: Fault(status=403) if "workloads" in request.path else None
    assert detail() == "waiting for its queue (the Job is suspended)"


def test_a_thousand_stages_take_a_handful_of_requests(api, client):
    stages = [stage("sft", f"{n:064x}"[::-1]) for n in range(1000)]
    for each in stages:
        api.state.load("c2f", job(each), pod(each, phase="Running", node="n"))
    assert len(load_snapshot(client, stages, "default")) == 1000
    assert len(api.requests) <= 4


def test_other_plans_that_need_a_stage_are_found(api, client):
    api.state.load("c2f", plan_map(PLAN, "mine", SFT, GRPO), plan_map(OTHER, "theirs", SFT), driver(OTHER))
    found = running_plans(client)
    assert {plan.name for plan in found} == {"mine", "theirs"}
    assert other_plans(found, PLAN) == {SFT.key: ("theirs",)}


def test_a_plan_whose_driver_has_ended_needs_nothing(api, client):
    api.state.load("c2f", plan_map(OTHER, "theirs", SFT), driver(OTHER, "Failed"))
    assert running_plans(client) == []


def load_two_plans(api):
    service = manifest("Service", "s", labels=names.stage_labels(GRPO), spec={})
    lease = manifest("Lease", "driver", labels=names.plan_labels(PLAN, "driver"))
    foreign = manifest("ConfigMap", "not-ours")
    api.state.load(
        "c2f", job(SFT), job(GRPO), job(GRPO, 1), config_map(SFT), config_map(GRPO), service, foreign, lease,
        plan_map(PLAN, "mine", SFT, GRPO), plan_map(OTHER, "theirs", SFT), driver(PLAN), driver(OTHER),
    )  # fmt: skip


def test_delete_leaves_nothing_of_a_plan_and_all_of_the_others(api, client):
    load_two_plans(api)
    others = other_plans(running_plans(client), PLAN)
    found = plan_objects.objects_of_plan(
        plan_objects.list_objects(client), PLAN, [SFT.key, GRPO.key], excluded=others
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


def test_an_object_that_is_not_deleted_in_time_is_named(api, client):
    api.state.load("c2f", job(GRPO), pod(GRPO, phase="Running"))  # a pod that nobody owns
    found = plan_objects.objects_of_plan(plan_objects.list_objects(client), PLAN, [GRPO.key], excluded=())
    plan_objects.delete_objects(client, found)
    reports = []
    left = plan_objects.wait_until_deleted(client, found, seconds=0.6, report=reports.append)
    assert [str(f) for f in left] == [f"Pod {names.job_name(GRPO, 0)}-x"]
    assert reports == ["1 pod still terminating"]


def test_a_kind_that_the_cluster_does_not_have_is_no_obstacle(api, client):
    load_two_plans(api)
    api.fault = lambda asked: Fault(status=404) if "podgroups" in asked.path else None
    assert len(plan_objects.list_objects(client)) == 11
