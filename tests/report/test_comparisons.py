"""Several experiments in one report: seeds as one row, two side by side, rewards, errors, cost and time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from c2f_spec.metrics.effect import BOOTSTRAP, MCNEMAR
from c2f_spec.metrics.scoring import score
from c2f_spec.report import charts as charts_module
from c2f_spec.report.charts import smooth
from c2f_spec.report.collect import collect
from c2f_spec.report.curves import rewards
from c2f_spec.report.outline import html, markdown
from c2f_spec.report.outputs import Outputs
from c2f_spec.report.report_data import Bar
from c2f_spec.report.scores import groups
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.store import records
from tests.support import report_store
from tests.support.report_store import experiment, filled, unfilled

FEWER = {"checkpoints": ["sft", "grpo"], "datasets": ["icwsm2014-movie"], "bootstrap": {"resamples": 50}}


def runs(name, *seeds, **changes):
    return [experiment(name=f"{name}-s{s}", seed=s, evaluate=FEWER, **changes) for s in seeds]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two experiments of two seeds, the second fine-tuned longer; every evaluation has answers of its own."""
    labels = tuple(f"evaluate {c} on icwsm2014-movie" for c in ("sft", "grpo"))
    experiments = (*runs("short", 42, 43), *runs("long", 42, 43, sft={"epochs": 2}))
    store = filled(tmp_path_factory.mktemp("two"), *experiments, skip=labels)
    for number, stage in enumerate(s for s in store.plan.stages if s.label in labels):
        rows = report_store._predictions("grpo", "icwsm2014-movie")
        moved = "".join(json.dumps({**r, "score": r["score"] + number / 10}) + "\n" for r in rows)
        store.write(stage, {"predictions.jsonl": moved})
    return collect(store.plan, store.objects)


def test_variants_that_differ_by_seed_are_one(report):
    assert report.groups == ("short", "long")
    assert [(r.group, r.checkpoint) for r in report.matrix.rows] == [
        (group, checkpoint) for group in ("short", "long") for checkpoint in ("sft", "grpo")
    ]
    cell = report.matrix.rows[0].cells[0]
    assert cell.seeds == (42, 43)
    each = [score(rows, DATASETS["icwsm2014-movie"])["MAE"] for rows in cell.runs]
    assert cell.scores["MAE"].mean == pytest.approx(sum(each) / 2)
    assert cell.scores["MAE"].deviation > 0


def test_a_seed_that_is_there_twice_is_no_second_draw(tmp_path):
    store = filled(tmp_path, experiment(name="a"), experiment(name="b"), experiment(name="c", seed=7))
    assert [(g.name, g.seeds) for g in groups(store.plan)] == [("a", (42, 7)), ("b", (42,))]


def test_two_are_side_by_side_with_what_differs_and_paired_tests(report):
    (pair,) = report.pairs
    assert (pair.before, pair.after) == ("short", "long")
    assert [(f.path, f.old, f.new, f.kind) for f in pair.fields] == [("sft.epochs", "1", "2", "identity")]
    assert [(t.dataset, t.before, t.after) for t in pair.tests] == [
        ("icwsm2014-movie", "sft", "sft"),
        ("icwsm2014-movie", "grpo", "grpo"),
    ]
    found = {e.metric: e for e in pair.tests[1].effects}
    assert found["Acc2"].test == BOOTSTRAP
    assert (found["Acc2"].clips, found["Acc2"].seeds, len(found["Acc2"].discordant)) == (60, 2, 2)
    text = markdown(report)
    assert "### long against short" in text
    assert "| sft.epochs | 1 | 2 | identity |" in text
    assert "60 × 2 seeds" in text
    assert "McNemar of each seed: " in text


def test_what_two_share_is_not_compared_and_one_seed_is_tested_by_mcnemar(tmp_path):
    keep = {"steps": 20, "hint": {"hard_policy": "keep"}}
    store = filled(tmp_path, *runs("a", 42), *runs("b", 42, grpo=keep))
    (pair,) = collect(store.plan, store.objects).pairs
    assert [t.state for t in pair.tests] == ["the same evaluation", ""]
    alone = filled(tmp_path / "alone", *runs("a", 42))
    (within,) = collect(alone.plan, alone.objects).pairs
    assert (within.before, within.after, within.fields) == ("sft", "grpo", ())
    assert {e.test for e in within.tests[0].effects if e.metric == "Acc2"} == {MCNEMAR}


def test_of_many_each_is_compared_with_the_first(tmp_path):
    others = [runs(f"e{n}", 42, sft={"epochs": n}) for n in (1, 2, 3, 4)]
    store = filled(tmp_path, *(e for one in others for e in one))
    found = collect(store.plan, store.objects)
    assert [(p.before, p.after) for p in found.pairs] == [("e1-s42", f"e{n}-s42") for n in (2, 3, 4)]
    assert "<details><summary>e4-s42 against e1-s42</summary>" in html(found)


def test_a_side_without_results_has_its_reason(tmp_path):
    store = filled(tmp_path, *runs("a", 42), *runs("b", 42, sft={"epochs": 2}))
    lost = store.plan.stage(store.plan.variants[1].stages[-2])
    store.objects.local(records.record_name(lost.kind, lost.key)).unlink()
    (pair,) = collect(store.plan, store.objects).pairs
    assert "b-s42: not run" in {t.state for t in pair.tests}


# Rewards.


def test_rewards_of_all_experiments_with_and_without_hints_apart(report):
    charts = {c.title: c for c in report.rewards.charts}
    assert list(charts)[:2] == ["Reward without a hint", "Reward with a hint"]
    assert [s.name for s in charts["Reward without a hint"].series] == ["short", "long"]
    line = charts["Reward without a hint"].series[0]
    assert len(line.points) == len(line.band) == 20  # two seeds, though of equal curves here
    assert [r.group for r in report.rises] == ["short", "long"]
    first, last = report.rises[0].unhinted
    assert first < last


def test_one_experiment_has_its_curves_in_its_own_section(tmp_path):
    store = filled(tmp_path, *runs("a", 42, 43))
    assert rewards(groups(store.plan), Outputs(store.plan, store.objects)) is None


def test_smoothing_begins_at_the_first_value_and_forgets():
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2, 2, 2])
    assert smooth([0.0, 1.0], 0.5) == pytest.approx([0, 1 / 1.5])
    assert smooth([1.0, 5.0, 3.0], 0.0) == [1, 5, 3]


# Errors, cost and time.


def test_errors_and_shifts_are_of_the_evaluations(tmp_path):
    store = filled(tmp_path)
    found = collect(store.plan, store.objects)
    assert [(e.checkpoint, e.dataset, e.domain) for e in found.errors] == [
        ("grpo", "icwsm2014-nyt", "out-of-domain"),
        ("grpo", "icwsm2014-movie", "in-domain"),
    ]
    assert all(sum(map(sum, c.counts)) == 60 for e in found.errors for c in e.confusions)
    assert [(s.checkpoint, s.datasets) for s in found.shifts] == [("base", 1), ("sft", 1), ("grpo", 1)]
    shown = next(r for r in found.sections[0].tables[0].rows if r.model == "grpo").scores["Acc2"]
    assert found.shifts[2].inside == pytest.approx(shown)
    page = html(found)
    assert "labelled negative, answered positive: " in page


def test_cost_counts_a_shared_stage_once_and_time_is_that_of_the_records(tmp_path):
    store = filled(tmp_path, *runs("a", 42, 43))
    for i, stage in enumerate(store.plan.stages):
        ran = {"placement": {"gpus": 4, "nodes": 2}}
        store.amend(stage, started=f"2026-11-22T10:{i:02}:00+00:00", ran=ran, peak_mb=100 + i)
    found = collect(store.plan, store.objects)
    by_kind = {c.kind: c for c in found.costs}
    assert by_kind["distil"].unshared == 2 * by_kind["distil"].seconds
    assert by_kind["sft"].unshared == by_kind["sft"].seconds
    assert by_kind["sft"].gpu_hours == pytest.approx(by_kind["sft"].seconds * 8 / 3600)
    assert [bar.start for bar in found.timeline] == [60.0 * i for i in range(len(store.plan.stages))]
    assert "Timeline" in html(found)
    assert "| all | " in markdown(found)


def test_long_pauses_are_shortened_and_nothing_overlaps():
    bars = [Bar("a", "sft", 0, 100), Bar("b", "grpo", 100, 200), Bar("c", "evaluate", 90_000, 90_100)]
    place, pauses, busy = charts_module._without_pauses(bars)
    assert [place(t) for t in (0, 200, 90_000, 90_100)] == pytest.approx([0, 200, 212, 312])
    assert busy == pytest.approx(312)
    assert 200 < pauses[0] < 212
    assert charts_module.timeline_chart(bars).count("<rect") == 3


def test_a_report_of_nothing_done_has_none_of_it(tmp_path):
    store = unfilled(tmp_path)
    found = collect(store.plan, store.objects)
    assert (found.errors, found.shifts, found.timeline, found.rises, found.cases) == ((), (), (), (), ())
    assert replace(found, pairs=()).pairs == ()


def test_report_of_two_files_is_a_comparison(c2f, repository, tiny_spec):
    text = (
        "c2f: v1\nname: {0}\nenvironment: local\ndata: {{train: ch-sims}}\nstudent: tiny\nformat: {1}\n"
        "evaluate: {{checkpoints: [base], datasets: [ch-sims]}}\n"
    )
    for name, fmt in (("one", "c2f"), ("two", "direct")):
        (repository / "specs" / f"{name}.yaml").write_text(text.format(name, fmt))
    (repository / "specs" / "c2f.lock").write_text(f"c2f: v1\ndatasets:\n  ch-sims: {'a' * 64}\n")
    c2f("report", "specs/one.yaml", "specs/two.yaml", "--out", "out")
    stored = Path(c2f("report", "specs/one.yaml", "specs/two.yaml").stdout.strip()).parent
    assert {path.name for path in stored.iterdir()} == {"report.json", "report.html", "report.md"}
    assert {p.name: p.read_text() for p in (repository / "out").iterdir()} == {
        path.name: path.read_text() for path in stored.iterdir()
    }
    text = (repository / "out" / "report.md").read_text()
    assert "## Side by side\n\nDifferences on the same clips." in text
    assert "\n\n### two against one\n\n| field | one | two | class |" in text
    assert "| format.kind | c2f | direct | identity |" in text
    assert "| ch-sims | base | two: not run |" in text or "one: not run" in text
