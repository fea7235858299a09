"""Another placement of submitted stages: Jobs that wait are created again, those that run are named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS
from c2f_spec.targets.kubernetes.launch import replace_unstarted_jobs, withdraw_superseded_plans
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.plan_objects import running_plans
from c2f_spec.targets.kubernetes.target import Kubernetes
from tests.support.cluster_world import chains, client_of, store_plan
from tests.targets.test_cluster_control import pod


def placed(plan, **changes):
    stages = tuple(replace(s, placement=s.placement.model_copy(update=changes)) for s in plan.stages)
    return replace(plan, stages=stages)


def groups(plan, objects, api):
    target = Kubernetes(objects, client_of(api), plan)
    target.load()
    return [target.prepare(plan, stage).objects for stage in plan.stages]


@pytest.fixture
def submitted(api, objects):
    """A plan whose two stages have Jobs that nothing runs."""
    plan = chains(objects.url, 2, kinds=("sft",))
    client = client_of(api)
    for group in groups(plan, objects, api):
        for item in group:
            client.apply(item)
    return plan


def test_a_job_that_waits_is_created_again_and_one_that_runs_is_named(api, objects, submitted):
    waiting, running_one = submitted.stages
    api.state.load("c2f", pod(running_one, "p", "Running"), pod(waiting, "q", "Pending"))
    moved = placed(submitted, threads=4)
    changes = replace_unstarted_jobs(client_of(api), groups(moved, objects, api))
    assert [str(change) for change in changes] == [
        f"{waiting.name}-r0 had not started: it is created again (threads 1 -> 4)",
        f"{running_one.name}-r0 goes on as it was started (threads 1 -> 4); run `cancel` and `apply` to move it, from its last checkpoint",
    ]
    assert [j["metadata"]["name"] for j in api.state.all(JOBS)] == [f"{running_one.name}-r0"]
    assert [c["metadata"]["name"] for c in api.state.all(CONFIGMAPS)] == [f"{running_one.name}-r0"]
    for group in groups(moved, objects, api)[:1]:
        for item in group:
            client_of(api).apply(item)  # immutable: were the former still there, this would be refused
    assert replace_unstarted_jobs(client_of(api), groups(moved, objects, api)[:1]) == []


def test_the_same_plan_again_and_ended_jobs_are_left_alone(api, objects, submitted):
    client = client_of(api)
    assert replace_unstarted_jobs(client, groups(submitted, objects, api)) == []
    ended = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    for stage in submitted.stages:
        api.state.merge(JOBS, "c2f", f"{stage.name}-r0", ended)
    writes = len(api.state.writes)
    assert replace_unstarted_jobs(client, groups(placed(submitted, threads=4), objects, api)) == []
    assert len(api.state.writes) == writes


def test_a_plan_of_the_same_stages_is_withdrawn_and_no_other(api, objects):
    plan, other = chains(objects.url, 2, kinds=("sft",)), chains(objects.url, 1, kinds=("sft",))
    client = client_of(api)
    moved = placed(plan, threads=4)
    for each in (plan, other, moved):
        store_plan(each, objects, client)
    assert withdraw_superseded_plans(client, moved) == [plan.digest[:10]]
    assert {p.digest for p in running_plans(client)} == {moved.digest, other.digest}
    assert withdraw_superseded_plans(client, moved) == []
    assert names.plan_name(plan.digest) not in {c["metadata"]["name"] for c in api.state.all(CONFIGMAPS)}
    assert api.state.all(PODS) == []
