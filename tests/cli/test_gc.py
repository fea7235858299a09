"""`gc`: what is garbage and what is not, on a store with every kind of it; and that nothing goes unnamed."""

import json
import os
import re
import time

import pytest

from c2f_spec.keys import content_key
from c2f_spec.plan.compile import compile_plan
from c2f_spec.plan.plan_file import to_json
from c2f_spec.report import outputs
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder
from c2f_spec.store.gc import MIN_AGE_SECONDS, Reachable, find_garbage, remove
from c2f_spec.store.open import open_store
from tests.cli.test_ci import commit, git
from tests.conftest import TINY_SPEC, load_spec
from tests.plan.test_plan import HERE_ENVIRONMENT

LATER = time.time() + 2 * MIN_AGE_SECONDS
NEEDED, OTHER = content_key("needed"), content_key("other")


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def done(store, folder, kind, key, attempt="a1"):
    """A committed stage."""
    (folder / attempt).mkdir(parents=True)
    (folder / attempt / "rows.jsonl").write_text("x" * 1000)
    files = digest_folder(folder / attempt)
    record = Record(
        kind=kind, key=key, attempt=attempt, nonce=attempt, files=files, summary={}, provenance={}
    )
    records.commit(store, record, folder / attempt)


def garbage(store, stages=(), copies=(), now=LATER):
    found = find_garbage(store, Reachable(frozenset(stages), frozenset(copies)), now)
    return {
        re.sub(r"[0-9a-f]{64}", lambda m: {NEEDED: "N", OTHER: "O"}.get(m[0], "?"), i.name): i for i in found
    }


def test_a_stage_that_nothing_reaches_goes_whole_its_record_first(store, tmp_path):
    done(store, tmp_path / "n", "sft", NEEDED)
    done(store, tmp_path / "o", "sft", OTHER)
    store.create(f"work/sft/{OTHER}/checkpoints/step-1/manifest.json", b"{}")
    store.create(f"failures/sft/{OTHER}/0.json", b"{}")
    store.create(f"preimages/sft/{OTHER}.json", b"{}")
    found = garbage(store, [NEEDED])
    assert list(found) == ["sft O"]
    item = found["sft O"]
    assert item.names[0] == f"records/sft/{OTHER}.json"
    assert item.size >= 1000
    remove(store, item)
    assert [n for n in store.names("") if OTHER in n] == [f"preimages/sft/{OTHER}.json"]
    assert records.read_record(store, "sft", NEEDED)


def test_of_a_committed_stage_losers_checkpoints_and_units_go(store, tmp_path):
    done(store, tmp_path / "n", "evaluate", NEEDED)
    for name in (
        "attempts/a2/rows.jsonl",
        "units/00001.jsonl",
        "checkpoints/step-2/model",
        "logs/a1/0",
        "progress.json",
    ):
        store.create(f"work/evaluate/{NEEDED}/{name}", b"12345")
    found = garbage(store, [NEEDED])
    assert set(found) == {f"work/evaluate/N/{name}" for name in ("attempts/a2", "units", "checkpoints")}
    for item in found.values():
        remove(store, item)
    record = records.read_record(store, "evaluate", NEEDED)
    assert records.files_present(store, record)
    assert garbage(store, [NEEDED]) == {}


def test_of_an_unfinished_stage_what_it_goes_on_from_stays(store):
    for name in ("attempts/a1/half", "checkpoints/step-2/model", "units/00001.jsonl"):
        store.create(f"work/grpo/{NEEDED}/{name}", b"12345")
    assert list(garbage(store, [NEEDED])) == ["work/grpo/N/attempts/a1"]
    assert list(garbage(store)) == ["grpo N"]


def test_what_changed_within_the_hour_stays(store, tmp_path):
    done(store, tmp_path / "o", "sft", OTHER)
    store.create(f"work/sft/{NEEDED}/attempts/a1/half", b"1")
    assert garbage(store, now=time.time()) == {}
    for path in (tmp_path / "store").rglob("*"):
        os.utime(path, (0, 0))
    store.replace(f"work/sft/{NEEDED}/progress.json", b"{}")
    assert list(garbage(store, now=time.time())) == ["sft O"], "a stage that reports progress is running"


def test_copies_in_no_lock_and_leftovers_go(store):
    for name in ("datasets/x/1/dataset.json", "datasets/x/1/files/a", "datasets/x/2/dataset.json"):
        store.create(name, b"1")
    for digest in ("3", "4"):
        store.create(f"models/Q/w/rev/{digest}/model.json", b"1")
        store.create(f"models/Q/w/rev/{digest}/files/files/config.json", b"1")
    store.create("claims/lease/1", b"")
    store.create("ledger/2026-11/x.json", b"{}")
    found = garbage(store, copies=["datasets/x/2", "models/Q/w/rev/4"])
    assert set(found) == {"datasets/x/1", "models/Q/w/rev/3", "claims"}
    assert len(found["models/Q/w/rev/3"].names) == 2


# ---- the verb, in a repository with two branches


@pytest.fixture
def branches(c2f, repository, tiny_spec, tmp_path, monkeypatch):
    """`main` has tiny.yaml; a branch has it with another limit. Outputs of both, of a report and of nobody."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (repository / ".git").rmdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    (repository / ".gitignore").write_text(".c2f\nout\n")
    store = open_store(str(repository / ".c2f" / "store"))
    copy = records.datasets_present(store, "icwsm2014-movie")
    plans = {}
    for name in ("main", "branch", "report", "nobody"):
        tiny_spec.write_text(TINY_SPEC.replace("train: 12", f"train: {10 + len(plans)}"))
        plans[name] = compile_plan(
            [load_spec(tiny_spec)], {"icwsm2014-movie": copy}, HERE_ENVIRONMENT, "here"
        )
        for stage in plans[name].stages:
            done(store, repository / "out" / f"{stage.name}", stage.kind, stage.key)
    tiny_spec.write_text(TINY_SPEC.replace("train: 12", "train: 11"))
    commit(repository)
    git(repository, "checkout", "--quiet", "-b", "branch")
    tiny_spec.write_text(TINY_SPEC.replace("train: 12", "train: 10"))
    commit(repository)
    plan = plans["report"]
    store.create("reports/old/report.json", outputs.references_json(plan).encode())
    store.create("reports/old/report.md", b"# old\n")
    for path in (repository / ".c2f").rglob("*"):
        os.utime(path, (0, 0))
    return store, plans


def test_what_a_branch_or_a_report_reaches_is_no_garbage(c2f, branches):
    store, plans = branches
    found = json.loads(c2f("gc", "-o", "json").stdout)
    keys = {s.key for s in plans["nobody"].stages} - {s.key for s in plans["report"].stages}
    stages = [i["name"] for i in found["items"] if not i["name"].startswith("datasets/")]
    assert {name.split()[1] for name in stages} == keys
    assert all(records.read_record(store, s.kind, s.key) for s in plans["nobody"].stages), (
        "nothing was removed"
    )


def test_nothing_is_removed_before_it_was_named_and_marked(c2f, branches, repository):
    store, plans = branches
    first = c2f("gc", "--delete")
    assert "are marked; call this again in 3 days" in first.stderr
    assert all(records.read_record(store, s.kind, s.key) for s in plans["nobody"].stages)
    again = c2f("gc", "--delete")
    assert "0 of" in again.stderr, "a fresh mark is no old one"
    mark = next((repository / ".c2f" / "store" / "gc").iterdir())
    mark.rename(mark.with_name(f"{int((time.time() - 4 * 86_400) * 1000)}.json"))
    swept = c2f("gc", "--delete")
    gone = [s for s in plans["nobody"].stages if not records.read_record(store, s.kind, s.key)]
    assert {s.key for s in gone} == {s.key for s in plans["nobody"].stages} - {
        s.key for s in plans["report"].stages
    }
    assert all(f"removed {s.kind} {s.key}" in swept.stderr for s in gone)
    for name in ("main", "branch", "report"):
        assert all(records.read_record(store, s.kind, s.key) for s in plans[name].stages), name


def test_yes_removes_now_and_a_spec_that_does_not_compile_stops_it(c2f, branches, tiny_spec):
    _, plans = branches
    text = tiny_spec.read_text()
    tiny_spec.write_text(text.replace("student: tiny", "student: tinny"))
    refused = c2f("gc", "--delete", "--yes", check=3)
    assert "what it needs is not known" in refused.stderr
    tiny_spec.write_text(text)
    assert "removed prepare" in c2f("gc", "--delete", "--yes").stderr
    assert c2f("gc").stdout == "no garbage\n"
    assert len(plans) == 4


def test_what_another_repository_launched_stays(c2f, branches):
    store, plans = branches
    plan = {**to_json(plans["nobody"]), "origin": {"commit": "f" * 40}}
    store.create("plans/other/plan.json", json.dumps(plan).encode())
    done = c2f("gc")
    assert "1 plans of other repositories" in done.stderr
    assert not any(f"{s.kind} {s.key}" in done.stdout for s in plans["nobody"].stages)


def stages_named(done):
    """Keys of the stages that `gc` names as garbage."""
    names = (item["name"] for item in json.loads(done.stdout)["items"])
    return {name.split()[1] for name in names if not name.startswith("datasets/")}


def test_the_words_of_a_report_decide_nothing(c2f, branches):
    store, plans = branches
    before = stages_named(c2f("gc", "-o", "json"))
    assert before
    assert not before & {s.key for s in plans["report"].stages}
    prose = f"# Bericht\n\nPlan {plans['nobody'].digest[:16]} in the environment here.\n"
    for page in ("report.md", "report.html"):
        store.replace(f"reports/old/{page}", prose.encode())
    assert stages_named(c2f("gc", "-o", "json")) == before


@pytest.mark.parametrize("data", [None, b"{", b'{"format_version": 2}', b"[]"])
def test_a_report_without_readable_data_is_named_and_keeps_the_plans_of_its_name(c2f, branches, data):
    store, plans = branches
    store.delete("reports/old/report.json")
    if data is not None:
        store.create("reports/old/report.json", data)
    keys = {s.key for s in plans["report"].stages} - {s.key for s in plans["branch"].stages}
    done = c2f("gc", "-o", "json")
    assert "warning: reports/old has no readable report.json: its stages are not known" in done.stderr
    assert keys <= stages_named(done)
    refused = c2f("gc", "--delete", "--yes", check=3)
    assert "nothing is removed while the stages of reports/old are not known" in refused.stderr
    saved = {**to_json(plans["report"]), "name": "old"}
    store.create("plans/old/plan.json", json.dumps(saved).encode())
    done = c2f("gc", "-o", "json")
    assert "the stages of saved plans with its name stay" in done.stderr
    assert not keys & stages_named(done)
