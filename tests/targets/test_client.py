"""The Kubernetes client against a server that answers, refuses, breaks, restarts and forgets."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time

import pytest

from c2f_spec.errors import Exit, Unreachable
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS, Client
from c2f_spec.targets.kubernetes.errors import Conflict, Forbidden, Gone, NotFound, Rejected, Warned
from c2f_spec.targets.kubernetes.kubeconfig import (
    Access,
    Anonymous,
    Exec,
    FileToken,
    find_access,
    from_kubeconfig,
    in_cluster,
)
from c2f_spec.targets.kubernetes.watch import Mirror
from tests.fake_api import Ending, Fault, JobController, Refusal


def config(name, *, labels=None, **data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **({"labels": labels} if labels else {})},
        "data": {k: str(v) for k, v in data.items()},
    }


@pytest.fixture
def client(api):
    return Client(Access(api.url, "team", Anonymous()), patience=5)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.01)


def test_an_object_from_its_making_to_its_end(client):
    assert client.get(CONFIGMAPS, "a") is None
    client.apply(config("a", x=1))
    made = client.get(CONFIGMAPS, "a")
    assert made["data"] == {"x": "1"}
    assert (
        client.apply(config("a", x=1))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    )
    client.patch(CONFIGMAPS, "a", {"data": {"y": "2"}})
    assert client.get(CONFIGMAPS, "a")["data"] == {"x": "1", "y": "2"}
    with pytest.raises(Conflict):
        client.create(config("a"))
    with pytest.raises(Conflict):
        client.replace(made | {"data": {}})
    with pytest.raises(Conflict):
        client.delete(CONFIGMAPS, "a", uid="another")
    assert client.delete(CONFIGMAPS, "a") is True
    assert client.delete(CONFIGMAPS, "a") is False
    with pytest.raises(NotFound):
        client.patch(CONFIGMAPS, "a", {"data": {}})


def test_lists_come_in_pages_by_label_and_as_metadata(client, api):
    for i in range(1203):
        api.state.create(CONFIGMAPS, "team", config(f"c{i:04}", labels={"odd": str(i % 2)}, x=i))
    assert sum(1 for _ in client.list(CONFIGMAPS)) == 1203
    assert len([r for r in api.requests if "limit=500" in r[1]]) == 3
    found = list(client.list(CONFIGMAPS, labels="odd=1", metadata_only=True))
    assert len(found) == 601
    assert set(found[0]) == {"metadata"}


def test_a_page_that_comes_too_late_says_so(client, api):
    for i in range(501):
        api.state.create(CONFIGMAPS, "team", config(f"c{i:04}"))
    pages = client.pages(CONFIGMAPS)
    next(pages)
    api.state.create(CONFIGMAPS, "team", config("late"))
    api.state.forget()
    with pytest.raises(Gone):
        next(pages)


def test_others_own_their_fields(client, api):
    client.apply(config("a", x=1))
    api.state.apply(CONFIGMAPS, "team", "a", config("a", y=2), "another")
    with pytest.raises(Conflict) as caught:
        client.apply(config("a", x=1, y=3))
    assert caught.value.causes[0].field == ".data.y"
    client.apply(config("a", x=1, y=3), force=True)
    assert client.get(CONFIGMAPS, "a")["data"]["y"] == "3"
    client.apply(config("a"))
    assert client.get(CONFIGMAPS, "a")["data"] == {}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_be_repeated_is(client, api, status):
    api.fault = lambda asked: Fault(status=status) if asked.number < 3 else None
    client.apply(config("a"))
    assert len(api.requests) == 3


def test_the_server_says_how_long_to_wait(client, api):
    api.fault = lambda asked: Fault(status=429, retry_after=1) if asked.number == 1 else None
    start = time.monotonic()
    client.apply(config("a"))
    assert time.monotonic() - start >= 1


def test_a_server_that_stays_away_is_told_of_when_patience_ends(api):
    client = Client(Access(api.url, "team", Anonymous()), patience=0.5)
    api.fault = lambda _: Fault(drop="before")
    with pytest.raises(Unreachable, match="cannot reach the cluster at"):
        client.get(JOBS, "a")
    assert 2 <= len(api.requests) < 12


def test_a_create_that_was_heard_but_not_answered_is_a_conflict(client, api):
    api.fault = lambda asked: Fault(drop="after") if asked.number == 1 else None
    with pytest.raises(Conflict):
        client.create(config("a"))
    assert api.state.writes == [("create", "ConfigMap", "a")]


def test_an_apply_that_was_heard_but_not_answered_is_done_once(client, api):
    api.fault = lambda asked: Fault(drop="after") if asked.number == 1 else None
    client.apply(config("a", x=1))
    assert api.state.writes == [("create", "ConfigMap", "a")]


def test_a_rejected_field_is_named(client, api):
    def admission(_):
        raise Refusal(422, "Invalid", "no", [("spec.template.spec.containers[0].image", "Required value")])

    api.admission = admission
    with pytest.raises(Rejected) as caught:
        client.apply(config("a"))
    assert caught.value.causes == (("spec.template.spec.containers[0].image", "Required value"),)
    assert caught.value.exit == Exit.SPEC_INVALID


def test_an_unknown_field_is_named(client, api):
    def admission(_):
        raise Refusal(400, "BadRequest", 'strict decoding error: unknown field "spec.backofLimit"')

    api.admission = admission
    with pytest.raises(Rejected) as caught:
        client.apply(config("a"))
    assert caught.value.causes[0].field == "spec.backofLimit"
    assert "fieldValidation=Strict" in api.requests[-1][1]


def test_a_warning_is_an_error_and_what_was_written_is_at_hand(client, api):
    api.admission = lambda _: ['would violate PodSecurity \\"restricted:latest\\"']
    with pytest.raises(Warned, match='would violate PodSecurity "restricted:latest"') as caught:
        client.apply(config("a"))
    assert caught.value.body["metadata"]["name"] == "a"


def test_a_dry_run_leaves_nothing(client, api):
    client.apply(config("a"), dry_run=True)
    client.create(config("a"), dry_run=True)
    assert api.state.writes == []


def test_an_identity_that_may_not_is_told_so_at_once(api):
    api.token = "secret"
    with pytest.raises(Forbidden) as caught:
        Client(Access(api.url, "team", Anonymous())).get(JOBS, "a")
    assert caught.value.exit == Exit.UNREACHABLE
    assert len(api.requests) == 1


def test_a_token_that_was_exchanged_on_disk_is_read_again(api, tmp_path):
    api.token = "old"
    file = tmp_path / "token"
    file.write_text("old\n")
    client = Client(Access(api.url, "team", FileToken(file)))
    assert client.get(JOBS, "a") is None
    api.token = "new"
    file.write_text("new\n")
    assert client.get(JOBS, "a") is None
    assert len(api.requests) == 3


LOGIN = """\
import json, os, sys
with open("count", "a") as f: f.write("x")
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
status = {"token": "t" + os.environ["SUFFIX"], "expirationTimestamp": "2999-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


def test_a_program_logs_in_once_and_again_when_the_server_says_no(api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "login.py").write_text(LOGIN)
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "k", "cluster": {"server": api.url}}],
        "users": [
            {
                "name": "u",
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1",
                        "command": sys.executable,
                        "args": [str(tmp_path / "login.py")],
                        "env": [{"name": "SUFFIX", "value": "1"}],
                    }
                },
            }
        ],
    }
    (tmp_path / "config").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    api.token = "t1"
    client = Client(find_access())
    assert client.namespace == "team"
    assert client.get(JOBS, "a") is None
    assert client.get(JOBS, "a") is None
    assert (tmp_path / "count").read_text() == "x"
    api.token = "t2"
    with pytest.raises(Forbidden):
        client.get(JOBS, "a")
    assert (tmp_path / "count").read_text() == "xx"


def test_a_program_that_is_not_there_is_named():
    config = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-login",
        "installHint": "get it",
    }
    with pytest.raises(Unreachable, match="no-such-login.*not found") as caught:
        Exec(config, {}, __import__("pathlib").Path()).token()
    assert caught.value.hint == "get it"


def test_several_kubeconfigs_are_one(tmp_path):
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    first = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}
    second = {
        "current-context": "ignored",
        "clusters": [
            {"name": "k", "cluster": {"server": "https://k:6443/", "certificate-authority": "ca.crt"}}
        ],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "1").write_text(json.dumps(first))
    (tmp_path / "2").write_text(json.dumps(second))
    access = from_kubeconfig([tmp_path / "1", tmp_path / "2"], None)
    assert (access.server, access.ca, access.credential.token()) == ("https://k:6443", b"PEM", "t")
    with pytest.raises(Unreachable, match="no context `other`"):
        from_kubeconfig([tmp_path / "1", tmp_path / "2"], "other")


def test_what_a_kubeconfig_has_and_we_do_not_use_is_an_error(tmp_path):
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://k"}}],
        "users": [{"name": "u", "user": {"auth-provider": {"name": "oidc"}}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    with pytest.raises(Unreachable, match="auth-provider"):
        from_kubeconfig([tmp_path / "config"], None)


def test_a_pod_knows_its_cluster(tmp_path):
    for name, text in (("token", "t"), ("namespace", "team\n"), ("ca.crt", "PEM")):
        (tmp_path / name).write_text(text)
    access = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (access.server, access.namespace) == ("https://[fd00::1]:6443", "team")
    assert access.credential.token() == "t"


def test_no_cluster_at_all_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(Unreachable, match="cluster not found"):
        find_access()


def test_a_client_certificate_is_shown_to_the_server(tmp_path):
    """Made by the test itself; OpenSSL refuses a key that does not fit its certificate."""
    pytest.importorskip("cryptography")
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    pair = (
        made.public_bytes(encoding),
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain),
    )
    data = {k: base64.b64encode(v).decode() for k, v in zip(("certificate", "key"), pair, strict=True)}
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://k"}}],
        "users": [{"name": "u", "user": {f"client-{k}-data": v for k, v in data.items()}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    access = from_kubeconfig([tmp_path / "config"], None)
    assert access.credential.certificate() == pair
    access.tls()


def mirror_of(client, **settings):
    return Mirror(
        client, CONFIGMAPS, labels="", keep=lambda o: o["data"].get("x"), changed=lambda: None, **settings
    )


def test_a_mirror_follows(client, api):
    client.apply(config("a", x=1))
    mirror = mirror_of(client)
    mirror.start()
    assert mirror.items == {"a": "1"}
    client.apply(config("b", x=2))
    client.apply(config("a", x=3))
    until(lambda: mirror.items == {"a": "3", "b": "2"})
    client.delete(CONFIGMAPS, "a")
    until(lambda: mirror.items == {"b": "2"})
    assert mirror.lists == 1
    mirror.stop()


def test_a_mirror_lists_again_when_the_past_is_forgotten(client, api, monkeypatch):
    mirror = mirror_of(client)
    mirror.start()
    api.down()
    api.state.create(CONFIGMAPS, "team", config("missed", x=1))
    api.state.forget()
    api.up()
    until(lambda: mirror.items == {"missed": "1"})
    assert mirror.lists == 2
    mirror.stop()


def test_a_mirror_goes_on_after_a_cut_without_listing(client, api):
    watches = []

    def fault(asked):
        if asked.query.get("watch"):
            watches.append(asked)
            return Fault(cut=1) if len(watches) < 3 else None
        return None

    api.fault = fault
    mirror = mirror_of(client)
    mirror.start()
    for i in range(8):
        client.apply(config(f"c{i}", x=i))
    until(lambda: len(mirror.items) == 8)
    assert mirror.lists == 1
    assert len(watches) >= 3
    mirror.stop()


def test_a_mirror_that_may_not_watch_says_so(client, api):
    api.fault = lambda asked: Fault(status=403) if asked.query.get("watch") else None
    mirror = mirror_of(client)
    mirror.start()
    with pytest.raises(Forbidden):
        until(mirror.check)
    mirror.stop()


def test_a_server_that_ends_every_watch_at_once_is_not_run_over(client, api):
    api.fault = lambda asked: Fault(cut=0) if asked.query.get("watch") else None
    mirror = mirror_of(client)
    mirror.start()
    end = time.monotonic() + 1.5
    for i in range(1000):
        if time.monotonic() > end:
            break
        client.apply(config("a", x=i))
    mirror.stop()
    assert sum("watch=1" in path for _, path in api.requests) < 8


def test_logs_of_a_pod(client, api):
    api.logs = lambda namespace, pod, query: [f"{namespace}/{pod}", query["container"], "三"]
    api.state.create(PODS, "team", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}})
    assert list(client.logs("p", container="stage")) == ["team/p", "stage", "三"]
    with pytest.raises(NotFound):
        list(client.logs("q", container="stage"))


def job(name, **spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "stage", "image": "x"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template, "backoffLimit": 1, **spec},
    }


def test_the_fake_runs_jobs_as_a_cluster_would(client, api):
    """What the driver's tests lean on."""
    policy = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64]}}]}
    endings = {"good": [0], "wrong": [64], "shaky": [75, 0], "lost": [75, 75]}

    def run(pod, _stopped):
        return Ending(endings[pod["metadata"]["labels"]["job-name"]].pop(0))

    with JobController(api.state, run):
        for name in endings:
            client.apply(job(name, podFailurePolicy=policy))
        until(lambda: all(j["status"].get("conditions") for j in client.list(JOBS)))
    ends = {
        j["metadata"]["name"]: (j["status"]["conditions"][0]["type"], j["status"]["conditions"][0]["reason"])
        for j in client.list(JOBS)
    }
    assert ends == {
        "good": ("Complete", "CompletionsReached"),
        "wrong": ("Failed", "PodFailurePolicy"),
        "shaky": ("Complete", "CompletionsReached"),
        "lost": ("Failed", "BackoffLimitExceeded"),
    }
    with pytest.raises(Rejected, match="field is immutable"):
        client.patch(JOBS, "good", {"spec": {"template": {"spec": {"containers": []}}}})
    client.delete(JOBS, "shaky")
    assert {p["metadata"]["labels"]["job-name"] for p in client.list(PODS)} == {"good", "wrong", "lost"}


def test_at_most_so_many_connections_wait_for_each_other(client, api):
    """Threads share the client; what they send is what one would have sent."""
    threads = [
        threading.Thread(target=lambda i=i: client.apply(config(f"c{i}", x=i)), daemon=True)
        for i in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.state.all(CONFIGMAPS)) == 40
    assert client.transport.requests == 40
