"""`doctor` against an API server at HTTP level, a registry at HTTP level, and stores that break their promises."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from c2f_spec.cli.main import main
from c2f_spec.spec.cluster import KubernetesEnvironment
from c2f_spec.store.open import open_store
from c2f_spec.store.probe import probe
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.doctor import cluster, examine, images, permissions, queues
from c2f_spec.targets.kubernetes.doctor.cluster import Site
from c2f_spec.targets.kubernetes.kubeconfig import Access, Anonymous
from tests.fake_api import FakeApi, Fault

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
    given = {
        "c2f": "v1", "kind": "kubernetes", "kubernetes": "1.34", "namespace": "team", "store": "s3://b/c2f",
        "image": f"localhost:1/c2f@{DIGEST}", "pools": pools, "cpu_pool": "cpu",
        "secrets": {"store": {"name": "c2f-store", "env": {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}}},
        "scheduler": {"kind": "kueue", "queue": "a800"},
    }  # fmt: skip
    return KubernetesEnvironment.model_validate({**given, **more})


def node(name, *, labels=None, taints=(), closed=False, **allocatable):
    has = {"cpu": "127920m", "memory": "1056Gi", "ephemeral-storage": "1900000000000", **allocatable}
    spec = {"taints": [{"key": k, "effect": "NoSchedule"} for k in taints], "unschedulable": closed}
    metadata = {"name": name, "labels": labels or {}}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": {"allocatable": has},
    }


def kueue(kind, name, **rest):
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, **rest}


def cluster_queue(**quota):
    resources = [{"name": k, "nominalQuota": v} for k, v in quota.items()]
    groups = [{"coveredResources": [*quota], "flavors": [{"name": "a800", "resources": resources}]}]
    return kueue("ClusterQueue", "research", spec={"resourceGroups": groups})


def secret(name, type_="Opaque", **data):
    values = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": type_, "data": values}


def account(name):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def namespace(level="restricted"):
    labels = {cluster.ENFORCE: level} if level else {}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": labels}}


@pytest.fixture
def api():
    with FakeApi() as fake:
        yield fake


def healthy(fake):
    """A cluster in which nothing is wrong."""
    gpu = {GPU: "8"}
    queue = cluster_queue(cpu="500", memory="4000Gi", **gpu)
    fake.state.load(
        None, namespace(), queue, node("a", labels={"gpu": "a800"}, taints=[GPU], **gpu), node("b", **gpu)
    )
    fake.state.load(
        "team", kueue("LocalQueue", "a800", spec={"clusterQueue": "research"}), secret("c2f-store", id="a", key="b"),
        account("c2f-stage"), account("c2f-driver"),
    )  # fmt: skip


def site(fake, **more):
    return Site(
        environment(**more), Client(Access(fake.url, "team", Anonymous()), namespace="team", patience=2)
    )


def told(found, level=None):
    return " | ".join(f"{f.subject}: {f.detail} ({f.remedy})" for f in found if level in (None, f.level))


def test_a_healthy_cluster_has_no_errors(api):
    healthy(api)
    found = list(examine(site(api)))
    assert told(found, "error") == ""
    # Nobody listens on port 1, as on a registry that only nodes reach.
    assert told(found, "warning").startswith(
        "image localhost:1/c2f: the registry cannot be reached from this machine"
    )
    assert {f.subject for f in found if f.level == "ok"} >= {
        "server version", "clock", "namespace team", "rights", "queue a800", "pool a800", "pool cpu", "secret c2f-store"
    }  # fmt: skip


def test_an_older_server_is_refused_and_a_newer_one_is_fine(api):
    assert "rendered for 1.34" in told(cluster.check_version(site(api)), "ok")
    assert 'set `kubernetes: "1.36"`' in told(cluster.check_version(site(api, kubernetes="1.37")), "error")


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
    assert "kubectl apply -k k8s/" in told(cluster.check_namespace(site(api)), "error")


def test_missing_rights_are_named_with_the_role(api):
    api.denied = frozenset({("create", "jobs"), ("delete", "jobs"), ("get", "pods"), ("list", "workloads")})
    found = permissions.check_rights(site(api))
    assert "permission denied: create, delete" in told(found)
    assert "c2f-user" in told(found)
    assert [f.subject for f in found if f.level == "error"] == [
        "rights on jobs", "rights on pods", "rights on pods/log", "rights on workloads"
    ]  # fmt: skip


def test_a_forbidden_look_is_a_warning_and_the_rest_goes_on(api):
    healthy(api)
    api.fault = lambda asked: Fault(status=403) if asked.path.endswith("/nodes") else None
    found = list(examine(site(api)))
    assert "pools: permission denied to this identity" in told(found, "warning")
    assert "image" in told(found)


def test_a_server_that_is_not_there_ends_it(api):
    there = site(api)
    api.down()
    assert [f.level for f in examine(there)] == ["error"]
    api.up()


@pytest.mark.parametrize(
    ("objects", "level", "words"),
    [
        ((), "error", "LocalQueue not found"),
        (
            (kueue("LocalQueue", "a800", spec={"clusterQueue": "research"}),),
            "error",
            "ClusterQueue `research` not found",
        ),
        (
            (
                kueue(
                    "LocalQueue",
                    "a800",
                    spec={"clusterQueue": "research"},
                    status={
                        "conditions": [
                            {"type": "Active", "status": "False", "message": "Can't submit, stopped"}
                        ]
                    },
                ),
            ),
            "error",
            "is inactive: Can't submit",
        ),
        (
            (
                kueue("LocalQueue", "a800", spec={"clusterQueue": "research"}),
                cluster_queue(cpu="500", memory="4000Gi"),
            ),
            "error",
            "does not cover nvidia.com/gpu",
        ),
        (
            (
                kueue("LocalQueue", "a800", spec={"clusterQueue": "research"}),
                cluster_queue(cpu="500", memory="4000Gi", **{GPU: "4"}),
            ),
            "warning",
            "requests 8 nvidia.com/gpu, more than the quota of ClusterQueue research",
        ),
    ],
)
def test_queues(api, objects, level, words):
    for item in objects:
        api.state.load(None if item["kind"] == "ClusterQueue" else "team", item)
    assert words in told(queues.check_queue(site(api)), level)


def test_what_may_be_borrowed_counts_as_room():
    queue = cluster_queue(cpu="4")
    assert queues.quotas(queue)["cpu"] == 4
    queue["spec"]["cohortName"] = "all"
    assert queues.quotas(queue)["cpu"] == float("inf")
    queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["borrowingLimit"] = "2"
    assert queues.quotas(queue)["cpu"] == 6


def test_other_schedulers(api):
    volcano = {"kind": "volcano", "queue": "gpu", "priority": "high"}
    assert "Queue of Volcano not found" in told(queues.check_queue(site(api, scheduler=volcano)), "error")
    shared = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "metadata": {"name": "gpu"}}
    api.state.load(None, {**shared, "status": {"state": "Closed"}})
    assert "is Closed" in told(queues.check_queue(site(api, scheduler=volcano)), "error")
    plain = {"kind": "default", "priority": "high"}
    assert "pods would be rejected" in told(queues.check_queue(site(api, scheduler=plain)), "error")
    api.state.load(
        None, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}}
    )
    assert told(queues.check_queue(site(api, scheduler=plain)), "error") == ""


A800 = {"gpu": "a800"}


@pytest.mark.parametrize(
    ("given", "level", "words"),
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
def test_pools(api, given, level, words):
    api.state.load(None, *given)
    found = cluster.check_pools(site(api, nvidia_driver="535.129.03"))
    assert words in told([f for f in found if f.subject == "pool a800"], level)


@pytest.mark.parametrize(
    ("objects", "level", "words"),
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
def test_secrets(api, objects, level, words):
    api.state.load("team", *objects)
    found = permissions.check_secrets(
        site(api, pull_secrets=["registry"], access={"secret": "store", "ca": "ca"})
    )
    assert words in told(found, level)


def test_no_value_of_a_secret_is_ever_shown(api):
    api.state.load("team", secret("c2f-store", id="canary-id\n", key="canary-key"))
    assert "canary" not in told(permissions.check_secrets(site(api)))


def test_accounts_and_the_node_cache(api):
    found = permissions.check_accounts(site(api, node_cache={"kind": "pvc", "claim": "cache"}))
    assert "service account c2f-driver: not found" in told(found, "error")
    assert "volume claim cache: not found" in told(found, "error")
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "cache"}}
    api.state.load("team", {**claim, "status": {"phase": "Pending"}})
    found = permissions.check_accounts(site(api, node_cache={"kind": "pvc", "claim": "cache"}))
    assert "is Pending" in told(found, "warning")


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
        return self.answer(
            200 if DIGEST in self.path and "application/vnd.oci" in self.headers["Accept"] else 404
        )

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


def test_images_are_looked_up_by_digest(api, registry):
    other = "sha256:" + "1" * 64
    for image, level, words in (
        (f"{registry}/open/c2f@{DIGEST}", "ok", "is in the registry"),
        (f"{registry}/open/c2f@{other}", "error", "not found in the registry"),
        (f"{registry}/closed/c2f@{DIGEST}", "warning", "permission denied by the registry (401)"),
        (f"{registry}/open/c2f@sha256:{'0' * 64}", "error", "the placeholder of the example (zeros)"),
    ):
        assert words in told(images.check_images(site(api, image=image)), level)


def test_a_pull_secret_opens_a_closed_registry(api, registry):
    login = base64.b64encode(b"me:secret").decode()
    config = json.dumps({"auths": {f"http://{registry}": {"auth": login}}})
    api.state.load("team", secret("pull", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": config}))
    found = images.check_images(site(api, image=f"{registry}/closed/c2f@{DIGEST}", pull_secrets=["pull"]))
    assert [f.level for f in found] == ["ok"]


def test_a_store_that_keeps_its_promises(tmp_path):
    objects = open_store(str(tmp_path))
    assert {f.level for f in probe(objects)} == {"ok"}
    assert list(objects.names("doctor")) == []


def test_a_store_that_overwrites_is_an_error(tmp_path):
    """As rclone's and juicefs' servers do: they ignore If-None-Match."""
    objects = open_store(str(tmp_path))

    class Careless(type(objects)):
        def create(self, name, data):
            self.replace(name, data)
            return True

    careless = Careless(str(tmp_path))
    assert "was overwritten" in told(probe(careless), "error")


def test_the_verb_tells_and_its_code_says(c2f, api, repository):
    healthy(api)
    folder = repository / "k8s" / "environments"
    folder.mkdir(parents=True)
    given = {**environment().model_dump(mode="json"), "store": str(repository / "bucket")}
    (folder / "here.yaml").write_text(json.dumps(given))
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": api.url}}],
        "users": [{"name": "x", "user": {}}],
    }
    (repository / "kubeconfig").write_text(json.dumps(config))
    c2f.environment["KUBECONFIG"] = str(repository / "kubeconfig")
    done = c2f("doctor", "here")
    assert "ok       queue a800: active" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 errors, 1 warnings, ")
    api.denied = frozenset({("create", "jobs")})
    done = c2f("doctor", "here", "-o", "json", check=4)
    assert [f["subject"] for f in json.loads(done.stdout)["findings"] if f["level"] == "error"] == [
        "rights on jobs"
    ]


def test_no_cluster_is_one_error_and_the_store_is_still_looked_at(c2f, repository):
    given = {**environment().model_dump(mode="json"), "store": str(repository / "bucket")}
    (repository / "here.yaml").write_text(json.dumps(given))
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


def test_what_is_asked_for_is_what_the_role_of_users_grants():
    from pathlib import Path

    from ruamel.yaml import YAML

    base = Path(__file__).parents[2] / "k8s"
    granted = {
        (group, resource, verb)
        for path in (
            base / "base" / "user-role.yaml",
            base / "overlays" / "kueue" / "user-role.yaml",
            base / "overlays" / "volcano" / "user-role.yaml",
        )
        if path.is_file()
        for document in YAML(typ="safe").load_all(path)
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    asked = {
        (r.group, r.resource, v)
        for r in (*permissions.RIGHTS, permissions.KUEUE, permissions.VOLCANO)
        for v in r.verbs
    }
    assert asked - granted == set()
