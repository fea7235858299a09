"""The folder of `render --gitops` under a cluster that follows it: applied again and again, it runs once."""

from __future__ import annotations

import re
import sys

import yaml

from c2f_spec.cli.main import main
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, Client
from c2f_spec.targets.kubernetes.kubeconfig import find_access
from tests.cli.test_apply_cluster import api, committed, logs_of, place, processes  # noqa: F401  fixtures
from tests.targets.test_client import until
from tests.targets.test_kustomize import named


def test_a_merged_folder_runs_the_experiment_and_another_sync_changes_nothing(place, api):  # noqa: F811
    committed(place)
    folder = place / "gitops"
    assert main(["render", "specs/tiny.yaml", "--on", "plain", "--gitops", "--out-dir", str(folder)]) == 0
    resources = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    objects = [o for name in resources for o in yaml.safe_load_all((folder / name).read_text())]
    assert {o["kind"] for o in objects} == {"ConfigMap", "Job"}
    git = Client(find_access(), namespace="team")
    store = open_store(str(place / ".c2f" / "store"))
    with processes(api, place):
        for item in objects:
            git.apply(item)
        ours = len(api.requests)
        until(lambda: len(list(store.names("records"))) == 3, 90)
        until(lambda: all(j["status"].get("conditions") for j in api.state.all(JOBS)), 60)
        of_driver = api.requests[ours:]
        made = sorted(j["metadata"]["name"] for j in api.state.all(JOBS))
        for item in objects:
            git.apply(item)
        assert sorted(j["metadata"]["name"] for j in api.state.all(JOBS)) == made
    assert len(made) == 4, logs_of(place)
    conditions = [c["type"] for j in api.state.all(JOBS) for c in j["status"]["conditions"]]
    assert "Complete" in conditions
    assert "Failed" not in conditions, logs_of(place)
    there = {c["metadata"]["name"] for c in api.state.all(CONFIGMAPS)}
    assert {o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"} <= there, "Git's stay"
    assert sys.executable in str(objects)

    used = {right_of(method, path) for method, path in of_driver}
    used |= {
        (*right[:2], "create") for right in used if right[2] == "patch"
    }  # applying what is not there yet
    assert ("batch", "jobs", "create") in used
    assert used - granted("c2f-driver") == set(), "the Role of k8s/base must allow what the driver does"


REQUEST = re.compile(
    r"/apis?/(?:([a-z0-9.]+)/)?v[0-9a-z]+/(?:namespaces/[^/]+/)?([a-z]+)(?:/([^/?]+))?(?:/([a-z]+))?"
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def right_of(method, path):
    """Group, resource and verb, as RBAC sees a request."""
    address, _, query = path.partition("?")
    group, resource, name, sub = REQUEST.fullmatch(address).groups()
    listing = "watch" if "watch=" in query else "list"
    verb = VERBS.get(method) or ("get" if name else listing)
    return (group or "", f"{resource}/{sub}" if sub else resource, verb)


def granted(role):
    """What a Role of k8s/base allows."""
    return {
        (group, resource, verb)
        for rule in named("Role", role)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
