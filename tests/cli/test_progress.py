"""How far a stage is, how fast and how long it still takes: written by the stage, printed by `status`."""

from __future__ import annotations

import json
import time

from c2f_spec.cli.status import format_duration
from c2f_spec.spec.handoff import StageFile
from c2f_spec.store.open import open_store
from runtime.process.context import PROGRESS_SECONDS, Context


def reported(objects):
    return json.loads(objects.read("work/sft/k/progress.json"))


def test_rate_and_time_left_are_of_this_attempt(tmp_path, monkeypatch):
    objects = open_store(str(tmp_path))
    stage = StageFile(
        kind="sft", key="k", name="sft-k", preimage={"spec": {}}, store=str(tmp_path), scratch=str(tmp_path)
    )
    context = Context(stage, {}, tmp_path, objects)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    context.progress(200, 300, "steps")  # resumed
    assert "eta" not in reported(objects)
    now[0] += 10
    context.progress(220, 300, "steps", loss=0.5)
    found = reported(objects)
    assert (found["rate"], found["eta"]) == (2.0, 40.0)
    now[0] += PROGRESS_SECONDS[0] / 2
    context.progress(221, 300, "steps")
    assert reported(objects)["done"] == 220, "not more often than that"
    context.progress(300, 300, "steps")
    assert reported(objects)["eta"] == 0, "but the end is told"


def test_durations_for_people():
    assert [format_duration(s) for s in (0, 40, 89, 600, 5399, 12600)] == [
        "0 s",
        "40 s",
        "89 s",
        "10 min",
        "90 min",
        "3.5 h",
    ]
