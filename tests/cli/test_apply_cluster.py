"""`apply` on a cluster, as its user calls it: a fake API server whose pods are plain processes, driver included."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from c2f_spec.cli.arguments import parse_arguments
from c2f_spec.cli.main import main
from c2f_spec.cli.workspace import compile_work
from c2f_spec.plan.code import bundle
from c2f_spec.plan.plan_file import to_json
from c2f_spec.store import records
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, LEASES, Client
from c2f_spec.targets.kubernetes.kubeconfig import find_access
from c2f_spec.targets.kubernetes.manifests.driver import plan_map
from tests.conftest import REPOSITORY
from tests.fake_api import JobController, refusing
from tests.fake_api.pods import Processes
from tests.support.manifests import write_kubeconfig
from tests.support.waiting import wait_until

ENVIRONMENT = """\
c2f: v1
kind: kubernetes
namespace: team
store: {store}
image: registry.example/c2f@sha256:{zeros}
python: {python}
pools:
  cpu: {{gpus: 0, cpu: "1", memory: 2Gi, ephemeral_storage: 1Gi}}
cpu_pool: cpu
scheduler:
  kind: default
  priority: research
demo: true
"""


@pytest.fixture
def place(repository, tiny_spec, api, monkeypatch):
    """A committed repository with an environment `plain`, pins, and a kubeconfig of the fake."""
    store = repository / ".c2f" / "store"
    folder = repository / "k8s" / "environments"
    folder.mkdir(parents=True)
    text = ENVIRONMENT.format(store=store, zeros="0" * 64, python=sys.executable)
    (folder / "plain.yaml").write_text(text)
    (digest,) = records.datasets_present(open_store(str(store)), "icwsm2014-movie")
    (tiny_spec.parent / "c2f.lock").write_text(f"c2f: v1\ndatasets:\n  icwsm2014-movie: {digest}\n")
    for name, value in write_kubeconfig(repository, api.url, user={"token": "t"}).items():
        monkeypatch.setenv(name, value)
    return repository


@pytest.fixture
def apply(capsys, monkeypatch):
    """`apply("--yes")` in this process: exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*more):
        code = main([*APPLY, *more])
        printed = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=printed.out, stderr=printed.err)

    return run


APPLY = ("apply", "specs/tiny.yaml", "--on", "plain")
COMMAND = (sys.executable, "-m", "c2f_spec", *APPLY, "--yes")


def committed(place):
    """Everything is in a commit that a remote has."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (place / ".git").rmdir()
    (place / ".gitignore").write_text(".c2f\nincoming\nkubeconfig\nnode\nout\n")
    for command in ("init -q", "add .", "commit -q -m x", "update-ref refs/remotes/origin/main HEAD"):
        subprocess.run([*git, *command.split()], cwd=place, check=True)


def processes(api, place):
    keep = {"KUBECONFIG": os.environ["KUBECONFIG"], "PYTHONPATH": str(REPOSITORY)}
    pods = Processes(api.state, place / "node", keep)
    api.logs = pods.log
    return JobController(api.state, pods)


def test_an_experiment_from_its_spec_to_its_records(place, api, apply):
    committed(place)
    with processes(api, place):
        done = apply("--yes", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr + logs_of(place)
        assert done.stdout.count(" done ") == 3
        wait_until(lambda: all(j["status"].get("conditions") for j in api.state.all(JOBS)))
        before = len(api.state.writes)
        again = apply("--yes")
    assert again.returncode == 0
    assert "nothing to do: all 3 stages" in again.stdout
    assert len(api.state.writes) == before
    store = open_store(str(place / ".c2f" / "store"))
    assert len(list(store.names("records"))) == 3
    assert len(list(store.names("code"))) == 2
    assert list(store.names("reports"))
    assert api.state.all(LEASES) == []


def logs_of(place):
    return "\n".join(f"--- {p.parent.name}\n{p.read_text()}" for p in sorted((place / "node").glob("*/log")))


def test_applying_twice_while_it_runs_changes_nothing(place, api, apply):
    committed(place)
    first = apply("--yes")
    assert first.returncode == 0, first.stderr
    assert "driver: driver-" in first.stdout
    assert "c2f-spec status --on plain specs/tiny.yaml" in first.stdout
    writes = list(api.state.writes)
    second = apply("--yes")
    assert second.returncode == 0
    assert "is being run already; nothing was changed" in second.stdout
    assert api.state.writes == writes
    assert [j["metadata"]["labels"]["app.kubernetes.io/component"] for j in api.state.all(JOBS)] == ["driver"]
    assert len(api.state.all(CONFIGMAPS)) == 1


def test_two_users_at_once_create_one_driver(place, api, apply):
    committed(place)
    users = [subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    outputs = [user.communicate()[0] for user in users]
    assert [user.returncode for user in users] == [0, 0], outputs
    assert [(v, k) for v, k, _ in api.state.writes] == [("create", "ConfigMap"), ("create", "Job")]


def test_a_failure_is_printed_with_its_class_and_names_retry(place, api, apply):
    committed(place)
    objects = open_store(str(place / ".c2f" / "store"))
    plan = compile_work(parse_arguments(APPLY)).plan
    first = plan.stages[0]
    failure = {"code": 71, "class": "out of memory", "message": "killed, as a machine does"}
    records.add_failure(objects, first.kind, first.key, {**failure, "hint": "lower `batch`"})
    done = apply("--yes")
    assert done.returncode == 8
    assert f"{first.name} ({first.label}) failed (out of memory): killed, as a machine does" in done.stderr
    assert "hint: lower `batch`" in done.stderr
    assert "c2f-spec retry" in done.stderr
    assert api.state.writes == [], "nothing that is left could run"


def test_without_a_terminal_nothing_starts_unless_yes_is_given(place, api, apply):
    committed(place)
    done = apply()
    assert done.returncode == 64
    assert "3 stages would start in team at http://127.0.0.1" in done.stderr
    assert "add --yes" in done.stderr
    assert api.state.writes == []


def test_a_refusal_is_reported_at_the_line_that_produced_the_field(place, api, apply):
    committed(place)
    message = 'pods "x" is forbidden: no PriorityClass with name research was found'
    api.admission = refusing(403, "Forbidden", message, kind="Pod")
    done = apply("--yes")
    assert done.returncode == 3
    line = 1 + ENVIRONMENT.splitlines().index("  priority: research")
    stderr = done.stderr.replace(f"{place}/", "")
    assert f"k8s/environments/plain.yaml:{line}:13: the cluster refuses" in stderr
    assert "no PriorityClass with name research was found [C2F461]" in done.stderr
    assert api.state.writes == []


def test_a_warning_is_a_refusal(place, api, apply):
    committed(place)
    warnings = ['would violate PodSecurity \\"restricted:latest\\"']
    api.admission = lambda manifest: warnings if manifest["kind"] == "Job" else None
    done = apply("--yes")
    assert done.returncode == 3
    assert 'would violate PodSecurity "restricted:latest"' in done.stderr
    assert api.state.writes == []


def test_a_namespace_that_is_not_there_is_reported_at_its_line(place, api, apply):
    committed(place)
    api.admission = refusing(404, "NotFound", 'namespaces "team" not found')
    done = apply("--yes")
    assert done.returncode == 3
    assert "plain.yaml:3:" in done.stderr


def test_a_tree_that_is_not_committed_is_refused(place, api, apply):
    done = apply("--yes")
    assert done.returncode == 6
    assert api.state.writes == []


def test_a_missing_cluster_is_reported(place, monkeypatch, apply):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    done = apply("--yes")
    assert done.returncode == 7
    assert "file not found: KUBECONFIG" in done.stderr


def test_an_interrupt_ends_following_and_the_cluster_goes_on(place, api, apply):
    committed(place)
    process = subprocess.Popen(
        [*COMMAND, "--wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: api.state.all(JOBS) and any("watch=1" in p for _, p in api.requests))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert "goes on in the cluster" in out
    assert len(api.state.all(JOBS)) == 1


def test_a_plan_that_came_with_the_pod_is_brought_to_the_store(place, api):
    """As after `render --gitops`: plan and code are beside the driver, and its ConfigMaps are Git's."""
    committed(place)
    work = compile_work(parse_arguments(APPLY), runnable=True)
    given = place / "node" / "given"
    given.mkdir(parents=True)
    (given / "plan.json").write_text(json.dumps(to_json(work.plan)))
    stage = bundle("stage")
    (given / f"{stage.digest}.zip").write_bytes(stage.data)
    Client(find_access(), namespace="team").apply(plan_map(work.plan))
    with processes(api, place):
        code = main(["driver", "--plan", str(given / "plan.json"), "--digest", work.plan.digest])
    assert code == 0, logs_of(place)
    store = open_store(str(place / ".c2f" / "store"))
    assert len(list(store.names("records"))) == 3
    assert any(c["metadata"]["name"].startswith("plan-") for c in api.state.all(CONFIGMAPS))


def test_another_plan_than_the_one_named_is_refused(place, api, capsys):
    committed(place)
    work = compile_work(parse_arguments(APPLY), runnable=True)
    (place / "plan.json").write_text(json.dumps(to_json(work.plan)))
    for path in (place / "plan.json", place / f".c2f/store/plans/{'f' * 64}/plan.json"):
        assert main(["driver", "--plan", str(path), "--digest", "f" * 64]) == 5
    assert "is not in the store" in capsys.readouterr().err
