"""The report of a small store: complete, partial, repeated, and fed with text that means to do harm."""

from __future__ import annotations

import json
import re

import pytest

from c2f_spec.report.collect import collect, not_in_the_paper
from c2f_spec.report.curves import MOST
from c2f_spec.report.outline import html, markdown
from c2f_spec.report.variant_blocks import score_columns
from c2f_spec.store import records
from tests.support.report_store import SPEC, experiment, filled, unfilled


def reviewed(report) -> str:
    """The page without the plan's digest, which every change of the runtime changes."""
    return re.sub("Plan [0-9a-f]{16}", "Plan <digest>", markdown(report))


def test_markdown_is_as_reviewed(report, golden):
    golden("report/demo.md", reviewed(report))


def test_partial_report_is_as_reviewed(tmp_path, golden):
    """Training failed, so what needs it has not run; one evaluation and the baselines have not either."""
    missing = ("reinforcement learning (GRPO)", "ridge baselines", "evaluate base on icwsm2014-nyt")
    store = filled(
        tmp_path, skip=(*missing, "evaluate grpo on icwsm2014-nyt", "evaluate grpo on icwsm2014-movie")
    )
    failed = store.stage(missing[0])
    records.add_failure(store.objects, failed.kind, failed.key, {"message": "loss is <b>nan</b>\nat step 3"})
    report = collect(store.plan, store.objects)
    golden("report/partial.md", reviewed(report))
    page = html(report)
    assert "failed: loss is &lt;b&gt;nan&lt;/b&gt; at step 3" in page
    assert page.count("not run") >= 6
    assert "Partial: 5 of 13 stages have no result" in page


def test_a_plan_of_which_nothing_ran(tmp_path):
    store = unfilled(tmp_path)
    report = collect(store.plan, store.objects)
    assert {s.state for s in report.stages} == {"not run"}
    assert "13 of 13 stages have no result" in html(report)
    assert "13 of 13 stages have no result" in markdown(report)


def test_a_damaged_output_is_reported_and_not_read(tmp_path):
    store = filled(tmp_path)
    stage = store.stage("evaluate grpo on icwsm2014-movie")
    folder = store.objects.local(records.attempt_name(stage.kind, stage.key, "a1"))
    (folder / "predictions.jsonl").write_text("")
    report = collect(store.plan, store.objects)
    row = next(r for r in report.sections[0].tables[0].rows if r.model == "grpo")
    assert row.state.startswith("damaged")
    assert not row.scores


@pytest.mark.parametrize("origin", [{"changed": ["specs/demo.yaml"]}, {"changed": [], "patch": "0" * 64}])
def test_results_of_a_dirty_tree_are_marked(origin, tmp_path):
    store = filled(tmp_path)
    stage = store.stage("reinforcement learning (GRPO)")
    store.amend(stage, origin=origin)
    report = collect(store.plan, store.objects)
    assert "Dirty: 1 of 13 stages was launched from a tree" in markdown(report)
    assert "reinforcement learning (GRPO) (dirty tree)" in html(report)


def test_the_same_store_gives_the_same_bytes(tmp_path, report):
    again = filled(tmp_path)
    other = collect(again.plan, again.objects)
    assert other == report
    assert html(other) == html(report)
    assert markdown(other) == markdown(report)


# What is found.


def test_in_domain_comes_first_and_every_model_is_there(report):
    tables = report.sections[0].tables
    assert [(t.data.name, t.data.domain) for t in tables] == [
        ("icwsm2014-movie", "in-domain"),
        ("icwsm2014-nyt", "out-of-domain"),
    ]
    models = ["base", "sft", "grpo", "ridge text", "ridge voice", "ridge face", "ridge all"]
    assert [[r.model for r in t.rows] for t in tables] == [models, models]
    assert [c.title for c in score_columns(tables[0], "worst_case")][:3] == [
        "Acc7",
        "Acc2 [95 %]",
        "Acc2 parsed",
    ]


def test_gains_name_their_baselines(report):
    found = {one.model: one for one in report.sections[0].gains}
    assert [c.over for c in found["sft"].comparisons] == ["the majority class", "base"]
    assert [c.over for c in found["grpo"].comparisons] == ["the majority class", "base", "sft"]
    assert found["grpo"].comparisons[0].excludes_zero is True
    assert found["grpo"].comparisons[2].excludes_zero is False


def test_caveats_name_what_is_rendered_and_tiny(report):
    caveats = " ".join(report.sections[0].caveats)
    assert "icwsm2014-movie and icwsm2014-nyt are rendered" in caveats
    assert "say nothing about the paper's results" in caveats


def test_a_training_set_that_is_rendered_is_reported_even_if_it_is_not_evaluated(tmp_path):
    evaluate = {**SPEC["evaluate"], "datasets": ["cmu-mosi", "ch-sims"]}
    store = filled(tmp_path, experiment(evaluate=evaluate))
    section = collect(store.plan, store.objects).sections[0]
    assert section.gains == ()
    assert any("icwsm2014-movie" in line and "rendered" in line for line in section.caveats)
    sims = next(t for t in section.tables if t.data.name == "ch-sims")
    assert score_columns(sims, "worst_case")[0].title == "Acc5"


def test_data_that_contains_the_training_data_is_not_called_out_of_domain(tmp_path):
    spec = experiment(
        data={"train": "ch-sims"}, evaluate={"checkpoints": ["base"], "datasets": ["ch-sims-v2", "ch-sims"]}
    )
    store = filled(tmp_path, spec)
    tables = collect(store.plan, store.objects).sections[0].tables
    assert [t.data.domain for t in tables] == ["in-domain", "overlaps the training data"]


def test_a_test_set_with_recordings_of_the_training_split_is_not_called_out_of_domain(tmp_path):
    """As people's own copies have them: under other names, with other ids and words."""
    store = filled(tmp_path, experiment(), skip=("prepare icwsm2014-movie", "prepare icwsm2014-nyt"))
    for stage in (s for s in store.plan.stages if s.kind == "prepare"):
        name = stage.preimage["spec"]["dataset"]
        rows = [
            {
                "id": f"{name}-{split}",
                "split": split,
                "text": f"{name} {split}",
                "label": 1.0,
                "blake3": digest,
            }
            for split, digest in (("train", "a" * 64), ("test", ("b" if "movie" in name else "a") * 64))
        ]
        files = {"manifest.jsonl": "".join(json.dumps(row) + "\n" for row in rows), "dataset.json": "{}"}
        store.write(stage, files, clips=2)
    tables = collect(store.plan, store.objects).sections[0].tables
    assert [t.data.domain for t in tables] == ["in-domain", "overlaps the training data"]


@pytest.mark.parametrize(
    ("splits", "rows"), [(["train"], ["all (train)"]), (["train", "valid"], ["all", "train", "valid"])]
)
def test_the_funnel_has_rows_for_splits_and_polarities(splits, rows, tmp_path):
    store = filled(tmp_path, experiment(), skip=("filter the chains",))
    part = {"in": 2, "kept": 1, "dropped": {"length": 1}}
    data = {**part, "by_split": dict.fromkeys(splits, part), "by_polarity": {"neutral": part}}
    (stage,) = (s for s in store.plan.stages if s.kind == "filter")
    store.write(stage, {"funnel.json": json.dumps(data)}, **part)
    found = collect(store.plan, store.objects).sections[0].funnel
    assert [row.name for row in found.rows] == [*rows, "neutral"]
    assert {row.dropped["length"] for row in found.rows} == {1}


def test_hinted_rewards_have_gaps_where_nothing_was_hinted(report):
    grpo = report.sections[0].curves[1]
    assert [s.name for s in grpo.charts[0].series] == ["without hint", "with hint"]
    hinted = grpo.charts[0].series[1].points
    assert [step for step, value in hinted if value is None] == [3, 6, 9, 12, 15, 18]
    assert [c.title for c in grpo.charts][2:] == ["Hinted groups", "KL from the start model"]


def test_long_curves_are_averaged(tmp_path):
    store = filled(tmp_path, skip=("supervised fine-tuning",))
    rows = "".join(json.dumps({"step": i, "loss": float(i)}) + "\n" for i in range(1000))
    store.write(store.stage("supervised fine-tuning"), {"metrics.jsonl": rows})
    chart = collect(store.plan, store.objects).sections[0].curves[0].charts[0]
    assert len(chart.series[0].points) == 250 <= MOST
    assert chart.series[0].points[0] == (1.5, 1.5)
    assert "mean of 4 steps" in chart.note


def test_metrics_that_are_not_numbers_are_gaps(tmp_path):
    store = filled(tmp_path, skip=("supervised fine-tuning",))
    rows = '{"step": 1, "loss": NaN}\nnot json\n{"step": 2, "loss": "x"}\n[]\n{"step": 3, "loss": 1.0}\n'
    store.write(store.stage("supervised fine-tuning"), {"metrics.jsonl": rows})
    found = collect(store.plan, store.objects)
    assert found.sections[0].curves[0].charts[0].series[0].points == ((1, None), (2, None), (3, 1.0))
    assert "nan" not in html(found)


def test_examples_are_varied(report):
    kept, dropped, answers = report.sections[0].examples
    assert [e.polarity for e in kept.examples] == ["negative", "neutral", "positive"]
    assert {e.outcome.split(":")[0] for e in dropped.examples} == {
        "dropped by polarity_match",
        "dropped by score_tolerance",
    }
    assert len(answers.examples) == 3
    assert kept.examples[0].jpeg is not None
    assert kept.examples[1].no_picture == "no picture: the clip cannot be decoded"


def test_defaults_that_the_paper_does_not_give():
    found = {d.path: d.value for d in not_in_the_paper(experiment())}
    assert found["grpo.temperature"] == "1.0"
    assert found["grpo.hint.trigger.threshold"] == "auto"
    assert "grpo.beta" not in found
    assert "sft.epochs" not in found


def test_variants_share_what_is_the_same(tmp_path):
    other = experiment(name="other-seed", seed=7)
    store = filled(tmp_path, experiment(), other)
    page = html(collect(store.plan, store.objects))
    text = markdown(collect(store.plan, store.objects))
    assert page.count("The same as in demo.") == text.count("The same as in demo.") == 3
    assert '<a href="#variant-1">other-seed</a>' in page
    assert len(set(re.findall(r'id="([^"]+)"', page))) == len(re.findall(r'id="([^"]+)"', page))
