"""The Kubernetes client against a server that answers, refuses, breaks, restarts and forgets."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from c2f_spec.errors import Exit, Unreachable
from c2f_spec.targets.kubernetes import transport, watch
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, PODS, Client
from c2f_spec.targets.kubernetes.errors import Conflict, Forbidden, Gone, NotFound, Rejected, Warned
from c2f_spec.targets.kubernetes.kubeconfig import (
    Access,
    Exec,
    FileToken,
    find_access,
    from_kubeconfig,
    in_cluster,
)
from c2f_spec.targets.kubernetes.watch import Mirror
from tests.fake_api import Ending, Fault, JobController, refusing
from tests.support.cluster_world import client_of
from tests.support.manifests import kubeconfig, manifest, write_kubeconfig
from tests.support.waiting import Clock, wait_until


def config(name, *, labels=None, **data):
    return manifest("ConfigMap", name, labels=labels, data={k: str(v) for k, v in data.items()})


@pytest.fixture
def client(api):
    return client_of(api, "team", patience=5)


def test_an_object_is_created_changed_and_deleted(client):
    assert client.get(CONFIGMAPS, "a") is None
    client.apply(config("a", x=1))
    created = client.get(CONFIGMAPS, "a")
    assert created["data"] == {"x": "1"}
    version = created["metadata"]["resourceVersion"]
    assert client.apply(config("a", x=1))["metadata"]["resourceVersion"] == version
    client.patch(CONFIGMAPS, "a", {"data": {"y": "2"}})
    assert client.get(CONFIGMAPS, "a")["data"] == {"x": "1", "y": "2"}
    with pytest.raises(Conflict):
        client.create(config("a"))
    with pytest.raises(Conflict):
        client.replace(created | {"data": {}})
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


def test_a_page_that_comes_too_late_is_gone(client, api):
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
    api.fault = lambda request: Fault(status=status) if request.number < 3 else None
    client.apply(config("a"))
    assert len(api.requests) == 3


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(transport, "time", clock)
    return clock


def test_the_client_waits_as_long_as_the_server_wants(client, api, clock):
    api.fault = lambda request: Fault(status=429, retry_after=3) if request.number == 1 else None
    start = clock.now
    client.apply(config("a"))
    assert clock.now - start == 3


def test_a_server_that_stays_away_is_an_error_when_patience_ends(api, clock):
    client = client_of(api, "team", patience=0.5)
    api.fault = lambda _: Fault(drop="before")
    with pytest.raises(Unreachable, match="cannot reach the cluster at"):
        client.get(JOBS, "a")
    assert 2 <= len(api.requests) < 12


@pytest.mark.parametrize(
    ("send", "outcome"),
    [
        pytest.param(Client.create, pytest.raises(Conflict), id="create is a conflict"),
        pytest.param(Client.apply, nullcontext(), id="apply is done"),
    ],
)
def test_a_write_that_was_carried_out_but_not_answered_is_not_done_twice(client, api, send, outcome):
    api.fault = lambda request: Fault(drop="after") if request.number == 1 else None
    with outcome:
        send(client, config("a", x=1))
    assert api.state.writes == [("create", "ConfigMap", "a")]


def test_a_rejected_field_is_named(client, api):
    cause = ("spec.template.spec.containers[0].image", "Required value")
    api.admission = refusing(422, "Invalid", "no", [cause])
    with pytest.raises(Rejected) as caught:
        client.apply(config("a"))
    assert caught.value.causes == (cause,)
    assert caught.value.exit == Exit.SPEC_INVALID


def test_an_unknown_field_is_named(client, api):
    api.admission = refusing(400, "BadRequest", 'strict decoding error: unknown field "spec.backofLimit"')
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


def test_a_request_without_permission_is_not_repeated(api):
    api.token = "secret"
    with pytest.raises(Forbidden) as caught:
        client_of(api, "team").get(JOBS, "a")
    assert caught.value.exit == Exit.UNREACHABLE
    assert len(api.requests) == 1


def test_a_token_that_was_replaced_on_disk_is_read_again(api, tmp_path):
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


def test_a_login_program_runs_once_and_again_after_a_401(api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "login.py").write_text(LOGIN)
    login = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(tmp_path / "login.py")],
        "env": [{"name": "SUFFIX", "value": "1"}],
    }
    variables = write_kubeconfig(tmp_path, api.url, user={"exec": login}, namespace="team")
    monkeypatch.setenv("KUBECONFIG", variables["KUBECONFIG"])
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
        Exec(config, {}, Path()).token()
    assert caught.value.hint == "get it"


def test_several_kubeconfigs_are_one(tmp_path):
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    first = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}
    options = {"user": {"token": "t"}, "certificate-authority": "ca.crt"}
    second = {**kubeconfig("https://k:6443/", **options), "current-context": "ignored", "contexts": []}
    (tmp_path / "1").write_text(json.dumps(first))
    (tmp_path / "2").write_text(json.dumps(second))
    access = from_kubeconfig([tmp_path / "1", tmp_path / "2"], None)
    assert (access.server, access.ca, access.credential.token()) == ("https://k:6443", b"PEM", "t")
    with pytest.raises(Unreachable, match="no context `other`"):
        from_kubeconfig([tmp_path / "1", tmp_path / "2"], "other")


def test_a_field_of_a_kubeconfig_that_is_not_supported_is_an_error(tmp_path):
    write_kubeconfig(tmp_path, "https://k", user={"auth-provider": {"name": "oidc"}})
    with pytest.raises(Unreachable, match="auth-provider"):
        from_kubeconfig([tmp_path / "kubeconfig"], None)


def test_a_pod_knows_its_cluster(tmp_path):
    for name, text in (("token", "t"), ("namespace", "team\n"), ("ca.crt", "PEM")):
        (tmp_path / name).write_text(text)
    access = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (access.server, access.namespace) == ("https://[fd00::1]:6443", "team")
    assert access.credential.token() == "t"


def test_no_cluster_at_all_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(Unreachable, match="cluster not found"):
        find_access()


@contextmanager
def mirroring(client):
    mirror = Mirror(client, CONFIGMAPS, labels="", keep=lambda o: o["data"].get("x"), changed=lambda: None)
    mirror.start()
    yield mirror
    mirror.stop()


def test_a_mirror_follows(client, api):
    client.apply(config("a", x=1))
    with mirroring(client) as mirror:
        assert mirror.items == {"a": "1"}
        client.apply(config("b", x=2))
        client.apply(config("a", x=3))
        wait_until(lambda: mirror.items == {"a": "3", "b": "2"})
        client.delete(CONFIGMAPS, "a")
        wait_until(lambda: mirror.items == {"b": "2"})
        assert mirror.lists == 1


def test_a_mirror_lists_again_when_the_history_has_expired(client, api):
    with mirroring(client) as mirror:
        api.down()
        api.state.create(CONFIGMAPS, "team", config("missed", x=1))
        api.state.forget()
        api.up()
        wait_until(lambda: mirror.items == {"missed": "1"})
        assert mirror.lists == 2


def test_a_mirror_goes_on_after_a_cut_without_listing(client, api):
    watches = []

    def cut_two_watches(request):
        if request.query.get("watch"):
            watches.append(request)
            return Fault(cut=1) if len(watches) < 3 else None
        return None

    api.fault = cut_two_watches
    with mirroring(client) as mirror:
        for i in range(8):
            client.apply(config(f"c{i}", x=i))
        wait_until(lambda: len(mirror.items) == 8)
        assert mirror.lists == 1
        assert len(watches) >= 3


def test_a_mirror_without_permission_to_watch_raises(client, api):
    api.fault = lambda request: Fault(status=403) if request.query.get("watch") else None
    with mirroring(client) as mirror, pytest.raises(Forbidden):
        wait_until(mirror.check)


def test_a_server_that_ends_every_watch_at_once_is_watched_less_and_less_often(client, api, monkeypatch):
    api.fault = lambda request: Fault(cut=0) if request.query.get("watch") else None
    pauses, dice = [], SimpleNamespace(uniform=lambda low, high: pauses.append((low, high)) or 0.0)
    monkeypatch.setattr(watch, "JITTER", dice)
    with mirroring(client):
        wait_until(lambda: client.apply(config("a", x=len(pauses))) and len(pauses) >= 9)
    longest = watch.LONGEST_PAUSE
    assert pauses[:9] == [(p / 2, p) for p in (0.4, 0.8, 1.6, 3.2, 6.4, 12.8, longest, longest, longest)]


def test_logs_of_a_pod(client, api):
    api.logs = lambda namespace, pod, query: [f"{namespace}/{pod}", query["container"], "三"]
    api.state.create(PODS, "team", manifest("Pod", "p", spec={}))
    assert list(client.logs("p", container="stage")) == ["team/p", "stage", "三"]
    with pytest.raises(NotFound):
        list(client.logs("q", container="stage"))


def job(name, **spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "stage", "image": "x"}]}}
    return manifest("Job", name, spec={"template": template, "backoffLimit": 1, **spec})


def test_the_fake_runs_jobs_as_a_cluster_would(client, api):
    """The driver's tests depend on it."""
    policy = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [64]}}]}
    endings = {"good": [0], "wrong": [64], "shaky": [75, 0], "lost": [75, 75]}

    def run(pod, _stopped):
        return Ending(endings[pod["metadata"]["labels"]["job-name"]].pop(0))

    with JobController(api.state, run):
        for name in endings:
            client.apply(job(name, podFailurePolicy=policy))
        wait_until(lambda: all(j["status"].get("conditions") for j in client.list(JOBS)))
    conditions = {j["metadata"]["name"]: j["status"]["conditions"][0] for j in client.list(JOBS)}
    assert {name: (c["type"], c["reason"]) for name, c in conditions.items()} == {
        "good": ("Complete", "CompletionsReached"),
        "wrong": ("Failed", "PodFailurePolicy"),
        "shaky": ("Complete", "CompletionsReached"),
        "lost": ("Failed", "BackoffLimitExceeded"),
    }
    with pytest.raises(Rejected, match="field is immutable"):
        client.patch(JOBS, "good", {"spec": {"template": {"spec": {"containers": []}}}})
    client.delete(JOBS, "shaky")
    assert {p["metadata"]["labels"]["job-name"] for p in client.list(PODS)} == {"good", "wrong", "lost"}


def test_threads_share_a_client(client, api):
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda i: client.apply(config(f"c{i}", x=i)), range(40)))
    assert len(api.state.all(CONFIGMAPS)) == 40
    assert client.transport.requests == 40
