"""Tracking, against a real `mlflow server` on sqlite: what it holds after a replay, and what happens while it is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from c2f_spec.execution.tracking import BATCH, track_new
from c2f_spec.store import records
from tests.support.report_store import filled
from tests.support.servers import free_port, mlflow_server

PAGES = {"report.html": b"<!doctype html>page", "report.md": b"# page", "tables.csv": b"a,b\n"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        yield uri


@pytest.fixture
def client(server):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server)


def runs(client, name):
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []


def test_every_stage_is_a_run_with_its_settings_curves_and_the_report_beside(server, client, tmp_path):
    store = filled(tmp_path)
    assert track_new(store.plan, store.objects, server, lambda: PAGES) == ""
    found = {run.info.run_name: run for run in runs(client, "demo")}
    assert set(found) == {stage.label for stage in store.plan.stages} | {"report"}

    stage, run = store.stage("supervised fine-tuning"), found["supervised fine-tuning"]
    assert run.data.tags["c2f.key"] == stage.key
    assert run.data.tags["c2f.plan"] == store.plan.digest
    assert run.data.params["seed"] == "42"
    assert run.info.status == "FINISHED"
    assert (run.info.end_time - run.info.start_time) == 1000 * (1.5 + len(stage.label))
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert sorted(m.step for m in losses) == [*range(41)], "40 steps, and the stage's last value at 0"

    report = found["report"].info.run_id
    assert sorted(item.path for item in client.list_artifacts(report)) == sorted(PAGES)
    page = client.download_artifacts(report, "report.html", str(tmp_path))
    assert Path(page).read_bytes() == PAGES["report.html"]

    assert track_new(store.plan, store.objects, server, lambda: pytest.fail("there is nothing new")) == ""
    assert len(runs(client, "demo")) == len(found)


def test_a_replay_that_broke_off_is_written_anew(server, client, tmp_path):
    from tests.support.report_store import experiment

    store = filled(tmp_path, experiment(name="broke-off"))
    track_new(store.plan, store.objects, server, dict)
    before = runs(client, "broke-off")
    stage = store.stage("supervised fine-tuning")
    store.objects.delete(f"{records.work_name(stage.kind, stage.key)}/tracked.json")
    assert track_new(store.plan, store.objects, server, dict) == ""
    after = runs(client, "broke-off")
    assert len(after) == len(before)
    assert {r.info.run_id for r in after} ^ {r.info.run_id for r in before}, (
        "the old run gave way to a new one"
    )


def test_more_metrics_than_one_call_takes(server, client, tmp_path):
    from tests.support.report_store import experiment

    store = filled(tmp_path, experiment(name="long"), skip=("supervised fine-tuning",))
    rows = "".join(f'{{"step": {i}, "loss": 1.5, "kl": 0.1, "done": true}}\n' for i in range(BATCH))
    store.write(store.stage("supervised fine-tuning"), {"metrics.jsonl": rows})
    assert track_new(store.plan, store.objects, server, dict) == ""
    run = next(r for r in runs(client, "long") if r.info.run_name == "supervised fine-tuning")
    assert len(client.get_metric_history(run.info.run_id, "kl")) == BATCH
    assert "done" not in run.data.metrics


def test_a_server_that_is_down_is_told_of_and_given_everything_later(server, client, tmp_path):
    from tests.support.report_store import experiment

    store = filled(tmp_path, experiment(name="later"))
    away = f"http://127.0.0.1:{free_port()}"
    told = track_new(store.plan, store.objects, away, dict)
    assert told.startswith(f"tracking: {away} did not take the metrics")
    assert told.endswith("they are in the store, and the next apply tries again")
    assert track_new(store.plan, store.objects, server, dict) == ""
    assert len(runs(client, "later")) == len(store.plan.stages)
