"""`verify` reads from a cluster the digest that a Job carries, and the image that its pod ran."""

from dataclasses import replace

from c2f_spec.targets.kubernetes.manifests.names import JOB_NAME
from c2f_spec.targets.kubernetes.manifests.stage import prepare
from c2f_spec.targets.kubernetes.snapshot import evidence
from tests.support.cluster_world import IMAGE, chains, client_of
from tests.support.manifests import manifest

RAN = f"registry.example/c2f/runtime@sha256:{'0' * 64}"


def test_jobs_and_pods_that_are_left_have_digests(api, tmp_path):
    plan = chains(tmp_path / "store", 1)
    client = client_of(api)
    first, second, third = plan.stages
    job = prepare(plan, first, retries=2)[-1]
    client.create(job)
    client.create(pod_of(job, f"docker-pullable://{RAN}"))
    other = replace(plan, environment=plan.environment.model_copy(update={"python": "other"}))
    client.create(prepare(other, second)[-1])
    found = evidence(client, plan)
    assert third.key not in found
    assert found[first.key].image == RAN == IMAGE
    assert found[first.key].manifest == found[first.key].rendered
    assert found[second.key].image is None
    assert found[second.key].manifest != found[second.key].rendered


def pod_of(job, image):
    labels = {**job["metadata"]["labels"], JOB_NAME: job["metadata"]["name"]}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "stage", "imageID": image}]}
    return manifest("Pod", "p", labels=labels, spec={"containers": []}, status=status)
