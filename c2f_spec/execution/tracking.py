"""Replay metrics from the store to MLflow. One writer: the launcher, after the stages ended, never a stage.

So a tracking server that is down cannot stop or slow training, and the same code serves a machine and a cluster. The
store is the buffer: what was replayed is noted there, the next `apply` replays what was not, and a run whose replay
broke off is found by its tag and written anew.

An experiment of MLflow for each plan name; in it a run for each stage instance, tagged with its key, and one called
"report" with the page and the tables as artifacts.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import flatten
from c2f_spec.store import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.protocol import ObjectStore

BATCH = 1000
"""Most metrics in one call (https://mlflow.org/docs/latest/rest-api.html, log-batch)."""
PARAMS = 100
"""Most parameters in one call."""
LONGEST = 6000
"""Characters of a parameter's value; MLflow refuses longer ones."""
CLIENT_DEFAULTS = {
    # With MLflow's own, two minutes and seven tries, a server that is down would hold the end of `apply` up for minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Variables of MLflow's client, unless the environment sets them."""
REPORT = "report"


def track_new(plan: Plan, store: ObjectStore, uri: str, pages: Callable[[], dict[str, bytes]]) -> str:
    """Replay stages that are done and not yet replayed; return the problem of the tracker, or an empty text.

    `pages` reads the files of the report, name to content; it is called only where there is something new.
    """
    new = _untracked(plan, store)
    if not new:
        return ""
    try:
        replay(plan, new, store, uri, pages())
    except Exception as error:  # noqa: BLE001  any failure of a tracker is the same to us
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        return f"tracking: {uri} did not take the metrics ({reason}); they are in the store, and the next apply tries again"
    return ""


def _untracked(plan: Plan, store: ObjectStore) -> list[tuple[Stage, Record]]:
    noted = store.read_many([_marker(stage) for stage in plan.stages])
    return [
        (stage, record)
        for stage in plan.stages
        if noted.get(_marker(stage)) is None
        and (record := records.read_record(store, stage.kind, stage.key)) is not None
    ]


def replay(
    plan: Plan, done: list[tuple[Stage, Record]], store: ObjectStore, uri: str, pages: dict[str, bytes]
) -> None:
    """A run for each stage, with its metrics by step, its settings and its key, and one for the report."""
    client = _client(uri)
    experiment = _experiment(client, plan.name, uri)
    for stage, record in done:
        tags = {"c2f.key": stage.key, "c2f.kind": stage.kind, "c2f.plan": plan.digest}
        _delete_runs(client, experiment, "c2f.key", stage.key)
        start, end = _times(record)
        run = client.create_run(experiment, run_name=stage.label, tags=tags, start_time=start)
        _write(client, run.info.run_id, stage, record, store)
        client.set_terminated(run.info.run_id, end_time=end)
        store.create(_marker(stage), b"{}")
    _report(client, experiment, plan, pages)


def _client(uri: str) -> Any:
    for name, value in CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they log every table of a new database
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _experiment(client: Any, name: str, uri: str) -> str:
    """Return the id of the experiment. A database of this machine keeps artifacts beside itself, and not where `apply` was called."""
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    place = None
    if uri.startswith("sqlite:///"):
        place = Path(uri.removeprefix("sqlite:///")).absolute().with_name("mlartifacts").as_uri() + f"/{name}"
    return str(client.create_experiment(name, artifact_location=place))


def _report(client: Any, experiment: str, plan: Plan, pages: dict[str, bytes]) -> None:
    """Replace the run of the report by the newest one."""
    if not pages:
        return
    _delete_runs(client, experiment, "c2f.kind", REPORT)
    tags = {"c2f.kind": REPORT, "c2f.plan": plan.digest}
    run = client.create_run(experiment, run_name=REPORT, tags=tags).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        for name, content in pages.items():
            (Path(folder) / name).write_bytes(content)
        client.log_artifacts(run, folder)
    client.set_terminated(run)


def _delete_runs(client: Any, experiment: str, tag: str, value: str) -> None:
    for old in client.search_runs([experiment], filter_string=f"tags.`{tag}` = '{value}'"):
        client.delete_run(old.info.run_id)


def _write(client: Any, run: str, stage: Stage, record: Record, store: ObjectStore) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(k, str(v)[:LONGEST]) for k, v in flatten(stage.preimage["spec"]).items() if k]
    scalars = {**flatten(record.summary), **flatten({"measured": record.provenance.get("measured", {})})}
    rows = [(0, k, v) for k, v in scalars.items() if _is_number(v)]
    has_metrics = "metrics.jsonl" in record.files
    text = records.fetch_file(store, record, "metrics.jsonl").read_text() if has_metrics else ""
    for line in text.splitlines():
        row = json.loads(line)
        rows += [(row["step"], k, v) for k, v in row.items() if k != "step" and _is_number(v)]
    metrics = [
        Metric(name, float(value), timestamp=_times(record)[0], step=step) for step, name, value in rows
    ]
    for start in range(0, len(params), PARAMS):
        client.log_batch(run, params=params[start : start + PARAMS])
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


def _times(record: Record) -> tuple[int, int]:
    """Start and end of the stage, in milliseconds since the epoch."""
    start = datetime.fromisoformat(record.provenance["started"]).timestamp()
    return int(1000 * start), int(1000 * (start + sum(record.provenance["seconds"].values())))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _marker(stage: Stage) -> str:
    return f"{records.work_name(stage.kind, stage.key)}/tracked.json"
