"""`doctor` against an API server at HTTP level, a registry at HTTP level, and stores that break their promises."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ruamel.yaml import YAML

from c2f_spec.cli.main import main
from c2f_spec.spec.cluster import KubernetesEnvironment
from c2f_spec.store.probe import probe
from c2f_spec.targets.kubernetes.doctor import cluster, examine, images, permissions, queues
from c2f_spec.targets.kubernetes.doctor.cluster import Site
from tests.conftest import REPOSITORY
from tests.fake_api import Fault
from tests.support.cluster_world import client_of
from tests.support.manifests import manifest, write_kubeconfig
from tests.support.rights import granted

DIGEST = "sha256:" + "0123456789abcdef" * 4
GPU = "nvidia.com/gpu"


def environment(**more):
    pools = {
        "a800": {
            "gpus": 8, "node_selector": {"gpu": "a800"}, "cpu": "112", "memory": "900Gi", "ephemeral_storage": "1Ti",
            "tolerations": [{"key": GPU, "operator": "Exists"}],
        },
        "cpu": {"gpus": 0, "cpu": "4", "memory": "16Gi", "ephemeral_storage": "50Gi"},
    }  # fmt: skip
    fields = {
        "c2f": "v1", "kind": "kubernetes", "kubernetes": "1.34", "namespace": "team", "store": "s3://b/c2f",
        "image": f"localhost:1/c2f@{DIGEST}", "pools": pools, "cpu_pool": "cpu",
        "secrets": {"store": {"name": "c2f-store", "env": {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}}},
        "scheduler": {"kind": "kueue", "queue": "a800"},
    }  # fmt: skip
    return KubernetesEnvironment.model_validate({**fields, **more})


def node(name, *, labels=None, taints=(), closed=False, **allocatable):
    has = {"cpu": "127920m", "memory": "1056Gi", "ephemeral-storage": "1900000000000", **allocatable}
    spec = {"taints": [{"key": k, "effect": "NoSchedule"} for k in taints], "unschedulable": closed}
    return manifest("Node", name, labels=labels, spec=spec, status={"allocatable": has})


def local_queue(name="a800", **fields):
    return manifest("LocalQueue", name, spec={"clusterQueue": "research"}, **fields)


def cluster_queue(**quota):
    resources = [{"name": k, "nominalQuota": v} for k, v in quota.items()]
    groups = [{"coveredResources": [*quota], "flavors": [{"name": "a800", "resources": resources}]}]
    return manifest("ClusterQueue", "research", spec={"resourceGroups": groups})


def secret(name, type_="Opaque", **data):
    values = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
    return manifest("Secret", name, type=type_, data=values)


def namespace(level="restricted"):
    return manifest("Namespace", "team", labels={cluster.ENFORCE: level} if level else None)


def healthy(fake):
    """A cluster in which nothing is wrong."""
    gpu = {GPU: "8"}
    queue = cluster_queue(cpu="500", memory="4000Gi", **gpu)
    fake.state.load(
        None, namespace(), queue, node("a", labels={"gpu": "a800"}, taints=[GPU], **gpu), node("b", **gpu)
    )
    fake.state.load(
        "team", local_queue(), secret("c2f-store", id="a", key="b"),
        manifest("ServiceAccount", "c2f-stage"), manifest("ServiceAccount", "c2f-driver"),
    )  # fmt: skip


def site(fake, **more):
    return Site(environment(**more), client_of(fake, "team", patience=2))


def lines(findings, level=None):
    return " | ".join(f"{f.subject}: {f.detail} ({f.remedy})" for f in findings if level in (None, f.level))


def test_a_healthy_cluster_has_no_errors(api):
    healthy(api)
    findings = list(examine(site(api)))
    assert lines(findings, "error") == ""
    # Nobody listens on port 1, as on a registry that only nodes reach.
    unreachable = "image localhost:1/c2f: the registry cannot be reached from this machine"
    assert lines(findings, "warning").startswith(unreachable)
    assert {f.subject for f in findings if f.level == "ok"} >= {
        "server version", "clock", "namespace team", "rights", "queue a800", "pool a800", "pool cpu", "secret c2f-store"
    }  # fmt: skip


def test_an_older_server_is_refused_and_a_newer_one_is_fine(api):
    assert "rendered for 1.34" in lines(cluster.check_version(site(api)), "ok")
    assert 'set `kubernetes: "1.36"`' in lines(cluster.check_version(site(api, kubernetes="1.37")), "error")


@pytest.mark.parametrize(
    ("level", "ours", "expected"),
    [
        ("restricted", "restricted", "ok"),
        ("baseline", "restricted", "ok"),
        (None, "restricted", "warning"),
        ("restricted", "baseline", "error"),
    ],
)
def test_the_namespace_enforces_no_more_than_pods_keep(api, level, ours, expected):
    api.state.load(None, namespace(level))
    assert [f.level for f in cluster.check_namespace(site(api, pod_security=ours))] == [expected]


def test_no_namespace(api):
    assert "kubectl apply -k k8s/" in lines(cluster.check_namespace(site(api)), "error")


def test_missing_rights_are_named_with_the_role(api):
    api.denied = frozenset({("create", "jobs"), ("delete", "jobs"), ("get", "pods"), ("list", "workloads")})
    findings = permissions.check_rights(site(api))
    assert "permission denied: create, delete" in lines(findings)
    assert "c2f-user" in lines(findings)
    assert [f.subject for f in findings if f.level == "error"] == [
        "rights on jobs", "rights on pods", "rights on pods/log", "rights on workloads"
    ]  # fmt: skip


def test_a_forbidden_request_is_a_warning_and_the_rest_goes_on(api):
    healthy(api)
    api.fault = lambda asked: Fault(status=403) if asked.path.endswith("/nodes") else None
    findings = list(examine(site(api)))
    assert "pools: permission denied to this identity" in lines(findings, "warning")
    assert "image" in lines(findings)


def test_a_server_that_is_not_there_ends_it(api):
    there = site(api)
    api.down()
    assert [f.level for f in examine(there)] == ["error"]
    api.up()


STOPPED = {"conditions": [{"type": "Active", "status": "False", "message": "Can't submit, stopped"}]}
QUOTA = {"cpu": "500", "memory": "4000Gi"}


@pytest.mark.parametrize(
    ("items", "level", "words"),
    [
        ([], "error", "LocalQueue not found"),
        ([local_queue()], "error", "ClusterQueue `research` not found"),
        ([local_queue(status=STOPPED)], "error", "is inactive: Can't submit"),
        ([local_queue(), cluster_queue(**QUOTA)], "error", "does not cover nvidia.com/gpu"),
        (
            [local_queue(), cluster_queue(**QUOTA, **{GPU: "4"})],
            "warning",
            "requests 8 nvidia.com/gpu, more than the quota of ClusterQueue research",
        ),
    ],
)
def test_queues(api, items, level, words):
    for item in items:
        api.state.load(None if item["kind"] == "ClusterQueue" else "team", item)
    assert words in lines(queues.check_queue(site(api)), level)


def test_what_may_be_borrowed_counts_as_room():
    queue = cluster_queue(cpu="4")
    assert queues.quotas(queue)["cpu"] == 4
    queue["spec"]["cohortName"] = "all"
    assert queues.quotas(queue)["cpu"] == float("inf")
    queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["borrowingLimit"] = "2"
    assert queues.quotas(queue)["cpu"] == 6


def test_other_schedulers(api):
    volcano = {"kind": "volcano", "queue": "gpu", "priority": "high"}
    assert "Queue of Volcano not found" in lines(queues.check_queue(site(api, scheduler=volcano)), "error")
    api.state.load(None, manifest("Queue", "gpu", status={"state": "Closed"}))
    assert "is Closed" in lines(queues.check_queue(site(api, scheduler=volcano)), "error")
    plain = {"kind": "default", "priority": "high"}
    assert "pods would be rejected" in lines(queues.check_queue(site(api, scheduler=plain)), "error")
    api.state.load(None, manifest("PriorityClass", "high"))
    assert lines(queues.check_queue(site(api, scheduler=plain)), "error") == ""


A800 = {"gpu": "a800"}


@pytest.mark.parametrize(
    ("nodes", "level", "words"),
    [
        ([], "error", "no node has the labels gpu=a800"),
        ([node("a", labels=A800, taints=[GPU])], "error", "requests 8 nvidia.com/gpu of a node, and no node has more than 0"),
        ([node("a", labels=A800, **{GPU: "8"}, memory="512Gi")], "error", "requests 900Gi memory of a node, and no node has more than 512Gi"),
        ([node("a", labels=A800, taints=["down"], **{GPU: "8"})], "error", "all 1 nodes are tainted: down"),
        ([node("a", labels=A800, closed=True, **{GPU: "8"})], "error", "closed for maintenance"),
        (
            [node("a", labels={**A800, cluster.DRIVER_LABEL: "470.82.01"}, **{GPU: "8"})],
            "error",
            "NVIDIA driver 470.82.01, older than",
        ),
        ([node("a", labels=A800, **{GPU: "8"}), node("b", labels=A800, taints=["x"], **{GPU: "8"})], "ok", "1 nodes with 8 nvidia.com/gpu each"),
    ],
)  # fmt: skip
def test_pools(api, nodes, level, words):
    api.state.load(None, *nodes)
    findings = cluster.check_pools(site(api, nvidia_driver="535.129.03"))
    assert words in lines([f for f in findings if f.subject == "pool a800"], level)


@pytest.mark.parametrize(
    ("items", "level", "words"),
    [
        ((), "error", "secret c2f-store: not found (`secrets.store`)"),
        ((secret("c2f-store", id="a"),), "error", "key key not found; it has id"),
        ((secret("c2f-store", id="a", key="b\n"),), "warning", "the value of key ends with a newline"),
        ((secret("c2f-store", id="a", key="b"),), "ok", "has id, key"),
        ((), "error", "pull secret registry: not found"),
        ((secret("registry"),), "error", "is of type Opaque"),
        ((), "error", "configmap ca: not found with the key `ca.crt`"),
    ],
)
def test_secrets(api, items, level, words):
    api.state.load("team", *items)
    findings = permissions.check_secrets(
        site(api, pull_secrets=["registry"], access={"secret": "store", "ca": "ca"})
    )
    assert words in lines(findings, level)


def test_no_value_of_a_secret_is_printed(api):
    api.state.load("team", secret("c2f-store", id="canary-id\n", key="canary-key"))
    assert "canary" not in lines(permissions.check_secrets(site(api)))


def test_accounts_and_the_node_cache(api):
    findings = permissions.check_accounts(site(api, node_cache={"kind": "pvc", "claim": "cache"}))
    assert "service account c2f-driver: not found" in lines(findings, "error")
    assert "volume claim cache: not found" in lines(findings, "error")
    api.state.load("team", manifest("PersistentVolumeClaim", "cache", status={"phase": "Pending"}))
    findings = permissions.check_accounts(site(api, node_cache={"kind": "pvc", "claim": "cache"}))
    assert "is Pending" in lines(findings, "warning")


@pytest.mark.parametrize(
    ("image", "registry", "repository"),
    [
        (f"r.example:5000/team/c2f:1.0@{DIGEST}", "r.example:5000", "team/c2f"),
        (f"localhost:5001/c2f@{DIGEST}", "localhost:5001", "c2f"),
        (f"localhost/c2f@{DIGEST}", "localhost", "c2f"),
        (f"team/c2f:2@{DIGEST}", images.HUB, "team/c2f"),
        (f"docker.io/team/c2f@{DIGEST}", images.HUB, "team/c2f"),
        (f"python@{DIGEST}", images.HUB, "library/python"),
    ],
)
def test_where_an_image_lies(image, registry, repository):
    assert images.reference(image) == (registry, repository, DIGEST)


class Registry(BaseHTTPRequestHandler):
    """`open/` is for all, `closed/` for a token, which `me:secret` gets."""

    def do_GET(self):
        host, authorization = self.headers["Host"], self.headers.get("Authorization", "")
        if self.path.startswith("/token"):
            good = authorization == "Basic " + base64.b64encode(b"me:secret").decode()
            return self.answer(200, json.dumps({"token": "t1" if good else "t0"}).encode())
        if "/closed/" in self.path and authorization != "Bearer t1":
            challenge = f'Bearer realm="http://{host}/token",service="reg",scope="repository:closed/c2f:pull"'
            return self.answer(401, b"", ("WWW-Authenticate", challenge))
        known = DIGEST in self.path and "application/vnd.oci" in self.headers["Accept"]
        return self.answer(200 if known else 404)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status, data=b"", *headers):
        self.send_response(status)
        for header in (("Content-Length", str(len(data))), *headers):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def registry():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    yield f"localhost:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def test_images_are_checked_by_digest(api, registry):
    other = "sha256:" + "1" * 64
    for image, level, words in (
        (f"{registry}/open/c2f@{DIGEST}", "ok", "is in the registry"),
        (f"{registry}/open/c2f@{other}", "error", "not found in the registry"),
        (f"{registry}/closed/c2f@{DIGEST}", "warning", "permission denied by the registry (401)"),
        (f"{registry}/open/c2f@sha256:{'0' * 64}", "error", "the placeholder of the example (zeros)"),
    ):
        assert words in lines(images.check_images(site(api, image=image)), level)


def test_a_pull_secret_opens_a_closed_registry(api, registry):
    login = base64.b64encode(b"me:secret").decode()
    config = json.dumps({"auths": {f"http://{registry}": {"auth": login}}})
    api.state.load("team", secret("pull", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": config}))
    findings = images.check_images(site(api, image=f"{registry}/closed/c2f@{DIGEST}", pull_secrets=["pull"]))
    assert [f.level for f in findings] == ["ok"]


def test_a_store_that_passes_its_probe(objects):
    assert {f.level for f in probe(objects)} == {"ok"}
    assert list(objects.names("doctor")) == []


def test_a_store_that_overwrites_is_an_error(objects, tmp_path):
    """As rclone's and juicefs' servers do: they ignore If-None-Match."""

    class Careless(type(objects)):
        def create(self, name, data):
            self.replace(name, data)
            return True

    assert "was overwritten" in lines(probe(Careless(str(tmp_path))), "error")


def test_the_verb_prints_findings_and_its_exit_code_counts_errors(c2f, api, repository):
    healthy(api)
    folder = repository / "k8s" / "environments"
    folder.mkdir(parents=True)
    fields = {**environment().model_dump(mode="json"), "store": str(repository / "bucket")}
    (folder / "here.yaml").write_text(json.dumps(fields))
    c2f.environment |= write_kubeconfig(repository, api.url)
    done = c2f("doctor", "here")
    assert "ok       queue a800: active" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 errors, 1 warnings, ")
    api.denied = frozenset({("create", "jobs")})
    done = c2f("doctor", "here", "-o", "json", check=4)
    errors = [f["subject"] for f in json.loads(done.stdout)["findings"] if f["level"] == "error"]
    assert errors == ["rights on jobs"]


def test_no_cluster_is_one_error_and_the_store_is_still_checked(c2f, repository):
    fields = {**environment().model_dump(mode="json"), "store": str(repository / "bucket")}
    (repository / "here.yaml").write_text(json.dumps(fields))
    c2f.environment |= {"KUBECONFIG": "/nowhere", "HOME": str(repository)}
    done = c2f("doctor", "here", "--environments", str(repository), check=4)
    assert "error    cluster: file not found: KUBECONFIG is" in done.stdout
    assert "refuses to overwrite what exists" in done.stdout


def test_this_machine(c2f):
    assert "0 errors" in c2f("doctor", "local").stdout


def test_an_unknown_environment(c2f):
    assert "no environment `nowhere`" in c2f("doctor", "nowhere", check=3).stderr


def test_help_names_it(capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    assert "ENV" in capsys.readouterr().out


def test_every_right_that_is_checked_is_in_the_role_of_users():
    folders = ("base", "overlays/kueue", "overlays/volcano")
    paths = [REPOSITORY / "k8s" / folder / "user-role.yaml" for folder in folders]
    roles = [role for path in paths for role in YAML(typ="safe").load_all(path)]
    rights = (*permissions.RIGHTS, permissions.KUEUE, permissions.VOLCANO)
    assert {(r.group, r.resource, verb) for r in rights for verb in r.verbs} <= granted(*roles)
