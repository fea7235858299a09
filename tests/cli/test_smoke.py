"""The whole pipeline at toy size, through the front door: every stage for real, a report, tracking, and a second run."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from c2f_spec.store import records
from c2f_spec.store.open import open_store
from tests.conftest import REPOSITORY


@pytest.fixture
def applied(c2f, repository):
    shutil.copy(REPOSITORY / "specs" / "smoke.yaml", repository / "specs")
    return c2f.process("apply", "specs/smoke.yaml", "--on", "local")


def test_from_ratings_to_report_and_again(c2f, repository, applied):
    assert applied.stdout.splitlines()[-1] == "report: .c2f/store/reports/smoke/report.html"
    states = json.loads(c2f("status", "specs/smoke.yaml", "-o", "json").stdout)["stages"]
    assert {s["state"] for s in states} == {"done"}
    assert len(states) == 8

    page = (repository / ".c2f/store/reports/smoke/report.html").read_text()
    twin = (repository / ".c2f/store/reports/smoke/report.md").read_text()
    for text in (page, twin):
        assert "sound and picture are drawn from the rating" in text, "it must say plainly what is drawn"

    plan = json.loads(c2f("plan", "specs/smoke.yaml", "-o", "json").stdout)
    objects = open_store(str(repository / ".c2f/store"))
    by_kind = {s["kind"]: records.read_record(objects, s["kind"], s["key"]) for s in plan["stages"]}
    funnel = json.loads((records.fetch(objects, by_kind["filter"]) / "funnel.json").read_text())
    assert funnel["in"] == funnel["kept"] + sum(funnel["dropped"].values()) == 16
    rows = [
        json.loads(line)
        for line in (records.fetch(objects, by_kind["grpo"]) / "metrics.jsonl").read_text().splitlines()
    ]
    assert {"reward/format", "reward/polarity", "reward/score", "hint/groups"} <= set().union(*rows)

    with sqlite3.connect(repository / ".c2f/mlflow.db") as database:
        runs = database.execute("select count(*) from runs where lifecycle_stage = 'active'").fetchone()[0]
        losses = database.execute("select count(*) from metrics where key = 'loss'").fetchone()[0]
    database.close()
    assert runs == 9, "each stage, and the report"
    assert losses > 0

    again = c2f.process("apply", "specs/smoke.yaml")
    assert again.stdout.splitlines()[0] == "nothing to do: all 8 stages of smoke are done"
    assert again.stderr.count("warning") == 1
    assert "1 name is not pinned in c2f.lock: the one staged copy is taken [C2F418]" in again.stderr

    told = c2f("export", "specs/smoke.yaml", "student", "--chains").stdout
    grpo = next(s for s in plan["stages"] if s["kind"] == "grpo")
    assert told == f"grpo-{grpo['key'][:10]} is in student: README.md says how to load it\n"
    card = (repository / "student" / "README.md").read_text()
    assert grpo["key"] in card
    assert "says nothing about people" in card
    answers = c2f("predict", "student", "student/chains/clips", "--without-text").stdout.splitlines()
    clips = sorted(p.name for p in (repository / "student/chains/clips").iterdir())
    assert [json.loads(line)["clip"] for line in answers] == clips


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["student"], "has no output: not run"),
        (["specs"], "is not empty"),
        (
            ["student", "--checkpoint", "sft", "--set", "sft=null", "--set", "evaluate.checkpoints=[grpo]"],
            "the spec trains no `sft`",
        ),
        (["student", "--variant", "smok"], "the spec has no variant `smok`"),
    ],
)
def test_nothing_is_exported_that_is_not_there(c2f, repository, arguments, message):
    shutil.copy(REPOSITORY / "specs" / "smoke.yaml", repository / "specs")
    done = c2f("export", "specs/smoke.yaml", *arguments, check=64)
    assert message in done.stderr
    assert not (repository / "student").exists()
