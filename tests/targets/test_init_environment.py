"""`init environment`: what a cluster shows, as an environment that validates and that `doctor` finds no fault with."""

from __future__ import annotations

import json

import pytest

from c2f_spec.cli.init import render_environment
from c2f_spec.language.document import load_document
from c2f_spec.language.parse import parse_environment
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.discovery import ClusterContents, build_environment, discover
from c2f_spec.targets.kubernetes.doctor import cluster, permissions, queues
from c2f_spec.targets.kubernetes.doctor.cluster import Site
from c2f_spec.targets.kubernetes.kubeconfig import Access, Anonymous
from tests.fake_api import FakeApi, Fault
from tests.targets.test_doctor import GPU, account, cluster_queue, kueue, namespace, node, secret

A800 = {
    "nvidia.com/gpu.product": "NVIDIA-A800-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    cluster.DRIVER_LABEL: "535.129.03",
}


def a800(name, **more):
    return node(name, labels=A800, taints=[GPU], **{GPU: "8", "rdma/hca_shared_devices_a": "8", **more})


@pytest.fixture
def api():
    with FakeApi() as fake:
        plain = node("cpu-0", **{"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi"})
        master = node("master", labels={"node-role.kubernetes.io/control-plane": ""}, cpu="4")
        fake.state.load(
            None, namespace(), a800("gpu-0"), a800("gpu-1", memory="1000Gi"), plain, master,
            cluster_queue(cpu="500", memory="4000Gi", **{GPU: "16"}),
        )  # fmt: skip
        fake.state.load(
            "team", kueue("LocalQueue", "c2f-a800", spec={"clusterQueue": "research"}), account("c2f-stage"),
            secret("s3", **{"access-key-id": "canary", "secret-access-key": "canary"}),
            secret("registry", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": "{}"}),
        )  # fmt: skip
        yield fake


def client(fake):
    return Client(Access(fake.url, "team", Anonymous()), namespace="team", patience=2)


def test_an_a800_cluster(api, golden):
    survey = build_environment(discover(client(api)))
    written = render_environment(survey, "mine")
    golden("init_environment.yaml", written)
    assert "canary" not in written
    made = parse_environment(load_document(written.encode(), "mine.yaml"))
    there = Site(made, client(api))
    for ask in (
        cluster.check_version,
        cluster.check_namespace,
        queues.check_queue,
        cluster.check_pools,
        permissions.check_secrets,
    ):
        assert [f for f in ask(there) if f.level != "ok"] == []


def test_who_may_see_nothing_gets_questions(api):
    api.fault = lambda asked: Fault(status=403) if asked.path != "/version" else None
    survey = build_environment(discover(client(api)))
    parse_environment(load_document(render_environment(survey, "mine").encode(), "mine.yaml"))
    assert set(survey.questions) == {"store", "secrets", "image", "scheduler", "pools"}


@pytest.mark.parametrize(("served", "written"), [("1.27", "1.28"), ("1.33", "1.33"), ("1.40", "1.37")])
def test_versions_that_are_not_known_are_asked_about(served, written):
    survey = build_environment(ClusterContents(served, "team"))
    assert survey.environment["kubernetes"] == written
    assert ("kubernetes" in survey.questions) is (served != written)


def test_nodes_of_several_kinds_and_none_without_gpus():
    labels = {"nvidia.com/gpu.product": "Tesla-T4"}
    seen = (
        a800("a"),
        a800("b", **{GPU: "4"}),
        node("c", labels=labels, **{GPU: "1"}),
        node("d", **{GPU: "2"}),
    )
    survey = build_environment(ClusterContents("1.34", "team", nodes=seen))
    assert {n: p["gpus"] for n, p in survey.environment["pools"].items()} == {
        "a800": 8,
        "a800-4": 4,
        "gpu": 2,
        "t4": 1,
    }
    assert survey.environment["cpu_pool"] == "a800"
    assert "every node has GPUs" in survey.questions["cpu_pool"]


def test_volcano_where_there_is_no_kueue():
    survey = build_environment(ClusterContents("1.34", "team", volcano_queues=("default",)))
    assert survey.environment["scheduler"] == {"kind": "volcano", "queue": "default"}


def test_the_verb_writes_once(c2f, api, repository):
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "team"}}],
        "clusters": [{"name": "x", "cluster": {"server": api.url}}],
        "users": [{"name": "x", "user": {}}],
    }
    (repository / "kubeconfig").write_text(json.dumps(config))
    c2f.environment["KUBECONFIG"] = str(repository / "kubeconfig")
    done = c2f("init", "environment", "k8s/environments/mine.yaml")
    assert "next: c2f-spec doctor mine" in done.stdout
    assert "namespace: team" in (repository / "k8s" / "environments" / "mine.yaml").read_text()
    assert "is not overwritten" in c2f("init", "environment", "k8s/environments/mine.yaml", check=64).stderr
    assert "missing file" in c2f("init", "environment", check=64).stderr
    assert "one file" in c2f("init", "a.yaml", "b.yaml", check=64).stderr
    assert "is not the name" in c2f("init", "environment", "mine", check=64).stderr
