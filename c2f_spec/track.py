"""Metrics in the store → MLflow. One writer: the launcher, after a stage is done, never the stage.

So a tracking server that is down cannot stop training, and the same code serves a machine and a cluster. A stage is
replayed once: what was replayed is noted in the store, and a run whose replay broke off is found by its tag and
written anew.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from c2f_spec.keys import leaves
from c2f_spec.store import records

if TYPE_CHECKING:
    from c2f_spec.plan.model import Plan, Stage
    from c2f_spec.spec.handoff import Record
    from c2f_spec.store.objects import Objects

BATCH = 1000
"""Most metrics in one call (https://mlflow.org/docs/latest/rest-api.html, log-batch)."""


def catch_up(plan: Plan, objects: Objects, uri: str) -> str:
    """Replay what is done and was not replayed yet; returns why the tracker did not take it, or nothing."""
    new = [
        (stage, record)
        for stage in plan.stages
        if (record := records.read_record(objects, stage.kind, stage.key)) is not None
        and not is_tracked(objects, stage)
    ]
    if not new:
        return ""
    try:
        replay(plan, new, objects, uri)
    except Exception as error:  # noqa: BLE001  any failure of a tracker is the same to us
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        return f"tracking: {uri} did not take the metrics ({reason}); they are in the store"
    return ""


def is_tracked(objects: Objects, stage: Stage) -> bool:
    return objects.exists(_note(stage))


def replay(plan: Plan, done: list[tuple[Stage, Record]], objects: Objects, uri: str) -> None:
    """A run for each stage, with its metrics by step, its settings and its key."""
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # the tables of a new database are no news
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(plan.name)
    experiment = found.experiment_id if found else client.create_experiment(plan.name)
    for stage, record in done:
        for old in client.search_runs([experiment], filter_string=f"tags.`c2f.key` = '{stage.key}'"):
            client.delete_run(old.info.run_id)
        tags = {"c2f.key": stage.key, "c2f.kind": stage.kind, "c2f.plan": plan.digest}
        start, end = _times(record)
        run = client.create_run(experiment, run_name=stage.label, tags=tags, start_time=start)
        _write(client, run.info.run_id, stage, record, objects)
        client.set_terminated(run.info.run_id, end_time=end)
        objects.create(_note(stage), b"{}")


def _write(client: Any, run: str, stage: Stage, record: Record, objects: Objects) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(k, str(v)[:500]) for k, v in leaves(stage.preimage["spec"]).items()]
    rows = [(0, k, v) for k, v in leaves(record.summary).items() if _is_number(v)]
    has_metrics = "metrics.jsonl" in record.files
    text = records.fetch_file(objects, record, "metrics.jsonl").read_text() if has_metrics else ""
    for line in text.splitlines():
        row = json.loads(line)
        rows += [(row["step"], k, v) for k, v in row.items() if k != "step" and _is_number(v)]
    metrics = [
        Metric(name, float(value), timestamp=_times(record)[0], step=step) for step, name, value in rows
    ]
    client.log_batch(run, params=params[:100])
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


def _times(record: Record) -> tuple[int, int]:
    """Start and end of the stage, in milliseconds since the epoch."""
    start = datetime.fromisoformat(record.provenance["started"]).timestamp()
    return int(1000 * start), int(1000 * (start + sum(record.provenance["seconds"].values())))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _note(stage: Stage) -> str:
    return f"{records.work_name(stage.kind, stage.key)}/tracked.json"
