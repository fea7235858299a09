"""`init environment`: what a cluster shows, as an environment that validates and that `doctor` finds no fault with."""

from __future__ import annotations

import pytest

from c2f_spec.cli.init import render_environment
from c2f_spec.language.document import load_document
from c2f_spec.language.parse import parse_environment
from c2f_spec.targets.kubernetes.discovery import ClusterContents, build_environment, discover
from c2f_spec.targets.kubernetes.doctor import cluster, permissions, queues
from c2f_spec.targets.kubernetes.doctor.cluster import Site
from tests.fake_api import Fault
from tests.support.cluster_world import client_of
from tests.support.manifests import manifest, write_kubeconfig
from tests.targets.test_doctor import GPU, cluster_queue, local_queue, namespace, node, secret

A800 = {
    "nvidia.com/gpu.product": "NVIDIA-A800-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    cluster.DRIVER_LABEL: "535.129.03",
}


def a800(name, **more):
    return node(name, labels=A800, taints=[GPU], **{GPU: "8", "rdma/hca_shared_devices_a": "8", **more})


@pytest.fixture
def client(api):
    """A client of a cluster with A800 nodes, Kueue and Secrets."""
    plain = node("cpu-0", **{"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi"})
    master = node("master", labels={"node-role.kubernetes.io/control-plane": ""}, cpu="4")
    queue = cluster_queue(cpu="500", memory="4000Gi", **{GPU: "16"})
    api.state.load(None, namespace(), a800("gpu-0"), a800("gpu-1", memory="1000Gi"), plain, master, queue)
    api.state.load(
        "team", local_queue("c2f-a800"), manifest("ServiceAccount", "c2f-stage"),
        secret("s3", **{"access-key-id": "canary", "secret-access-key": "canary"}),
        secret("registry", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": "{}"}),
    )  # fmt: skip
    return client_of(api, "team", patience=2)


def test_an_a800_cluster(client, golden):
    survey = build_environment(discover(client))
    written = render_environment(survey, "mine")
    golden("init_environment.yaml", written)
    assert "canary" not in written
    environment = parse_environment(load_document(written.encode(), "mine.yaml"))
    site = Site(environment, client)
    checks = (cluster.check_version, cluster.check_namespace, queues.check_queue, cluster.check_pools)
    for check in (*checks, permissions.check_secrets):
        assert [f for f in check(site) if f.level != "ok"] == []


def test_without_any_permission_every_answer_is_a_question(api, client):
    api.fault = lambda request: Fault(status=403) if request.path != "/version" else None
    survey = build_environment(discover(client))
    parse_environment(load_document(render_environment(survey, "mine").encode(), "mine.yaml"))
    assert set(survey.questions) == {"store", "secrets", "image", "scheduler", "pools"}


@pytest.mark.parametrize(("served", "written"), [("1.27", "1.28"), ("1.33", "1.33"), ("1.40", "1.37")])
def test_an_unknown_version_is_a_question(served, written):
    survey = build_environment(ClusterContents(served, "team"))
    assert survey.environment["kubernetes"] == written
    assert ("kubernetes" in survey.questions) is (served != written)


def test_nodes_of_several_kinds_and_none_without_gpus():
    labels = {"nvidia.com/gpu.product": "Tesla-T4"}
    half, t4, unlabelled = (
        a800("b", **{GPU: "4"}),
        node("c", labels=labels, **{GPU: "1"}),
        node("d", **{GPU: "2"}),
    )
    nodes = (a800("a"), half, t4, unlabelled)
    survey = build_environment(ClusterContents("1.34", "team", nodes=nodes))
    gpus = {name: pool["gpus"] for name, pool in survey.environment["pools"].items()}
    assert gpus == {"a800": 8, "a800-4": 4, "gpu": 2, "t4": 1}
    assert survey.environment["cpu_pool"] == "a800"
    assert "every node has GPUs" in survey.questions["cpu_pool"]


def test_volcano_where_there_is_no_kueue():
    survey = build_environment(ClusterContents("1.34", "team", volcano_queues=("default",)))
    assert survey.environment["scheduler"] == {"kind": "volcano", "queue": "default"}


@pytest.mark.usefixtures("client")
def test_the_verb_overwrites_no_file(c2f, api, repository):
    c2f.environment |= write_kubeconfig(repository, api.url, namespace="team")
    done = c2f("init", "environment", "k8s/environments/mine.yaml")
    assert "next: c2f-spec doctor mine" in done.stdout
    assert "namespace: team" in (repository / "k8s" / "environments" / "mine.yaml").read_text()
    assert "is not overwritten" in c2f("init", "environment", "k8s/environments/mine.yaml", check=64).stderr
    assert "missing file" in c2f("init", "environment", check=64).stderr
    assert "one file" in c2f("init", "a.yaml", "b.yaml", check=64).stderr
    assert "is not the name" in c2f("init", "environment", "mine", check=64).stderr
