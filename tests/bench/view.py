"""`status` of 1,000 stages in a cluster: their Jobs and pods, in words, over HTTP from the fake API server."""

from __future__ import annotations

import statistics
import time

from c2f_spec.targets.base import Phase
from c2f_spec.targets.kubernetes.client import JOBS
from c2f_spec.targets.kubernetes.manifests import names
from c2f_spec.targets.kubernetes.snapshot import load_snapshot, target_status
from tests.fake_api import FakeApi
from tests.support.cluster_world import chains, client_of

STAGES = 1000
RUNS = 5


def main() -> None:
    with FakeApi() as api:
        plan = chains("/nowhere", STAGES, kinds=("sft",))
        for number, stage in enumerate(plan.stages):
            api.state.create(JOBS, "c2f", job(stage))
            api.state.load("c2f", pod(stage, waits=number < 20))
        client, times = client_of(api), []
        for _ in range(RUNS):
            began, asked = time.perf_counter(), len(api.requests)
            found = [target_status(seen) for seen in load_snapshot(client, plan.stages, "default").values()]
            times.append(time.perf_counter() - began)
            requests = len(api.requests) - asked
    waiting = sum(status.phase is Phase.QUEUED for status in found)
    print(
        f"where {len(found):,} stages are, {waiting} of them waiting: {statistics.median(times):.2f} s, {requests} requests"
    )


def job(stage):
    """As the server has it."""
    metadata = {
        "name": names.job_name(stage, 0),
        "labels": names.stage_labels(stage),
        "annotations": {names.KEY: stage.key},
    }
    spec = {"template": {"metadata": {}, "spec": {}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def pod(stage, *, waits):
    """One that runs, or one that no node takes."""
    parent = names.job_name(stage, 0)
    labels = {**names.stage_labels(stage), "batch.kubernetes.io/job-name": parent}
    message = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu."
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    status = {"phase": "Pending", "conditions": [refused]} if waits else {"phase": "Running"}
    spec = {"containers": [], "nodeName": "" if waits else "n1"}
    metadata = {"name": f"{parent}-x", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}
