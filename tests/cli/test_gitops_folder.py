"""The folder of `render --gitops` under a cluster that follows it: applied again and again, it runs once."""

from __future__ import annotations

import sys

import yaml

from c2f_spec.cli.main import main
from c2f_spec.store.open import open_store
from c2f_spec.targets.kubernetes.client import CONFIGMAPS, JOBS, Client
from c2f_spec.targets.kubernetes.kubeconfig import find_access
from tests.cli.test_apply_cluster import committed, logs_of, place, processes  # noqa: F401  fixtures
from tests.support.rights import granted, needed
from tests.support.waiting import wait_until
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
        wait_until(lambda: len(list(store.names("records"))) == 3)
        wait_until(lambda: all(j["status"].get("conditions") for j in api.state.all(JOBS)))
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

    rights = needed(of_driver)
    assert ("batch", "jobs", "create") in rights
    assert rights <= granted(named("Role", "c2f-driver")), (
        "the Role of k8s/base must allow what the driver does"
    )
