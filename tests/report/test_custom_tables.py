"""Tables that a spec defines: which rows and cells there are, what several seeds show, and what is missing."""

from __future__ import annotations

import csv
import io
import json

import pytest

from c2f_spec.report import custom_tables, table_files
from c2f_spec.report.collect import collect
from c2f_spec.report.outline import html, markdown
from c2f_spec.store import records
from tests.support.report_store import HOSTILE, experiment, filled

MAIN = {
    "name": "main",
    "title": "What each stage brings",
    "rows": [
        {"variant": "one", "checkpoint": "base", "title": "zero-shot"},
        {"variant": "one", "checkpoint": "sft"},
        {"variant": "one"},
        {"variant": "nobody"},
    ],
    "columns": [
        {"dataset": "icwsm2014-movie", "metrics": ["Acc2", "MAE"]},
        {"dataset": "icwsm2014-nyt", "metrics": ["Corr"]},
    ],
    "against": "one",
}


def table(folder, *tables, skip=(), **changes):
    store = filled(
        folder, *(experiment(name=f"one-s{s}", seed=s, tables=tables, **changes) for s in (42, 43)), skip=skip
    )
    return collect(store.plan, store.objects)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return table(tmp_path_factory.mktemp("own"), MAIN, "VI", data={"train": "ch-sims"})


def test_seeds_are_one_experiment_and_a_table_is_not_repeated(report):
    assert report.groups == ("one",)
    assert [t.name for t in report.tables] == ["VI", "main"]
    assert [row.title for row in report.tables[1].rows] == ["zero-shot", "one, sft", "one", "nobody"]


def test_cells_are_means_with_deviations_and_differences_with_p(report):
    found = custom_tables.grid(report.tables[1])
    assert found.heads == ("variant", "Acc2, icwsm2014-movie", "MAE, icwsm2014-movie", "Corr, icwsm2014-nyt")
    rows = {row[0]: row[1:] for row in found.rows}
    assert rows["nobody"] == ("—", "—", "—")
    assert "p" not in rows["one"][0]
    assert rows["one"][0].endswith(" ± 0.0")
    assert rows["zero-shot"][0].count("p < 0.001") == 1 or "p 0.0" in rows["zero-shot"][0]
    assert found.notes[0].startswith(
        "mean ± standard deviation over seeds; in brackets the difference to one"
    )
    assert "missing: nobody: no variant of this plan: nobody" in found.notes


@pytest.mark.parametrize(
    ("aggregate", "shape"),
    [("mean", "{a}"), ("mean_sd", "{a} ± 0.0"), ("seeds", "{a}, {a}"), ("interval", "{a} [")],
)
def test_a_cell_aggregates_several_seeds(tmp_path, aggregate, shape):
    report = table(tmp_path, {"name": "t", "aggregate": aggregate})
    found = custom_tables.grid(report.tables[0])
    assert [row[0] for row in found.rows] == ["one"]
    assert len(found.heads) == 1 + 2 * 6
    place = found.heads.index("Acc2, icwsm2014-movie")
    mean = 100 * report.tables[0].rows[0].cells["icwsm2014-movie"].scores["Acc2"].mean
    assert found.rows[0][place].startswith(shape.format(a=f"{mean:.1f}"))


def test_each_number_names_the_keys_that_it_comes_from(report):
    lines = [
        r for r in csv.DictReader(io.StringIO(table_files.as_csv(report.tables))) if r["table"] == "main"
    ]
    assert len(lines) == 4 * 3
    stages = {stage.key for stage in report.stages}
    ours = [line for line in lines if line["measured"]]
    assert len(ours) == 9
    for line in ours:
        keys = line["keys"].split()
        assert len(keys) == 2
        assert set(keys) <= stages
        assert line["n"] == line["n_expected"] == "60"
    assert {r["unparsable"] for r in ours if r["model"] == "zero-shot"} == {"15 15"}
    assert {r["coverage"] for r in ours if r["model"] == "zero-shot"} == {"0.75"}
    latex = table_files.as_latex(report.tables)
    assert all(key in latex for line in ours for key in line["keys"].split())
    assert "evaluate-" in table_files.as_markdown(report.tables)


def test_a_seed_without_a_result_is_listed_and_the_others_stand(tmp_path):
    store = filled(
        tmp_path, *(experiment(name=f"one-s{s}", seed=s, tables=[{"name": "t"}]) for s in (42, 43))
    )
    lost = store.plan.stage(store.plan.variants[1].stages[-2])
    assert lost.label == "evaluate grpo on icwsm2014-movie"
    store.objects.local(records.record_name(lost.kind, lost.key)).unlink()
    report = collect(store.plan, store.objects)
    cell = report.tables[0].rows[0].cells["icwsm2014-movie"]
    assert cell.seeds == (42,)
    assert "- missing: one on icwsm2014-movie: one-s43: not run" in markdown(report)


def test_clips_that_the_training_split_has_are_counted_and_left_out(tmp_path):
    """Half of the test clips of CH-SIMS v2 are training clips of CH-SIMS here, by their words."""
    spec = experiment(
        data={"train": "ch-sims"},
        evaluate={"checkpoints": ["base"], "datasets": ["ch-sims-v2"]},
        tables=[{"name": "t"}],
    )
    store = filled(tmp_path, spec, skip=("prepare ch-sims-v2",))
    rows = [
        {"id": f"test-{i}", "split": "test", "text": f"Train {i}." if 0 < i < 30 else f"Other {i}."}
        for i in range(60)
    ]
    store.write(store.stage("prepare ch-sims-v2"), {"manifest.jsonl": "\n".join(map(json.dumps, rows))})
    report = collect(store.plan, store.objects)
    cell = report.tables[0].rows[0].cells["ch-sims-v2"]
    assert cell.overlap == 29
    assert cell.clean["MAE"].mean != cell.scores["MAE"].mean
    assert "without the 29 clips that the training split has: Acc5 " in markdown(report)


def test_a_baseline_that_is_missing_is_reported(tmp_path):
    report = table(tmp_path, {"name": "t", "against": "nobody"})
    assert "- nothing is compared with nobody: " in markdown(report)


def test_text_of_a_spec_is_no_markup(tmp_path):
    report = table(tmp_path, {"name": "t", "title": HOSTILE, "rows": [{"variant": "one", "title": HOSTILE}]})
    page, latex = html(report), table_files.as_latex(report.tables)
    assert "<script>alert" not in page
    assert "\n" not in latex.split("\n")[0]
    assert "@everyone" not in markdown(report)
