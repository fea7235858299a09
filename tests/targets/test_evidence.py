"""What `verify` asks a cluster: the digest that a Job carries, and the image that its pod ran."""

import pytest

from c2f_spec.targets.kubernetes.manifests.names import JOB_NAME
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.snapshot import evidence
from tests.fake_api import FakeApi
from tests.support.cluster_world import IMAGE, chains, client_of

RAN = f"registry.example/c2f/runtime@sha256:{'0' * 64}"


@pytest.fixture
def api():
    with FakeApi() as fake:
        yield fake


def test_jobs_and_pods_that_are_left_tell_their_digests(api, tmp_path):
    plan = chains(tmp_path / "store", 1)
    client = client_of(api)
    first, second, third = plan.stages
    job = prepare(plan, first, retries=2)[-1]
    client.create(job)
    client.create(pod_of(job, f"docker-pullable://{RAN}"))
    other = prepare(
        plan.__class__(plan.name, plan.environment.model_copy(update={"python": "other"}), *rest(plan)),
        second,
    )[-1]
    client.create(other)
    found = evidence(client, plan)
    assert third.key not in found
    assert found[first.key].image == RAN == IMAGE
    assert found[first.key].manifest == found[first.key].rendered
    assert found[second.key].image is None
    assert found[second.key].manifest != found[second.key].rendered


def rest(plan):
    return plan.environment_name, plan.variants, plan.stages


def pod_of(job, image):
    labels = {**job["metadata"]["labels"], JOB_NAME: job["metadata"]["name"]}
    meta = {"name": "p", "namespace": job["metadata"]["namespace"], "labels": labels}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "stage", "imageID": image}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": []}, "status": status}
