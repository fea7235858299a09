"""The folder of `render --gitops` under a cluster that follows it: applied again and again, it runs once."""

from __future__ import annotations

import sys

import yaml

from c2f_spec.cli.main import main
from c2f_spec.store.objects import open_objects
from c2f_spec.targets.kubernetes.access import find_access
from c2f_spec.targets.kubernetes.client import Client
from c2f_spec.targets.kubernetes.resources import CONFIGMAPS, JOBS
from tests.test_apply_cluster import api, committed, logs_of, place, processes  # noqa: F401  fixtures
from tests.test_client import until


def test_a_merged_folder_runs_the_experiment_and_another_sync_changes_nothing(place, api):  # noqa: F811
    committed(place)
    folder = place / "gitops"
    assert main(["render", "specs/tiny.yaml", "--on", "plain", "--gitops", "--out-dir", str(folder)]) == 0
    resources = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    objects = [o for name in resources for o in yaml.safe_load_all((folder / name).read_text())]
    assert {o["kind"] for o in objects} == {"ConfigMap", "Job"}
    git = Client(find_access(), namespace="team")
    store = open_objects(str(place / ".c2f" / "store"))
    with processes(api, place):
        for item in objects:
            git.apply(item)
        until(lambda: len(list(store.names("records"))) == 3, 90)
        until(lambda: all(j["status"].get("conditions") for j in api.state.all(JOBS)), 60)
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
