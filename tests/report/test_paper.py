"""Tables of the paper beside results: which experiment fills which row, what counts as equal, what is missing."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from c2f_spec.metrics.effect import OverSeeds
from c2f_spec.plan.model import Plan
from c2f_spec.plan.published import RUNS, printed_rows
from c2f_spec.report.collect import collect
from c2f_spec.report.outline import html, markdown
from c2f_spec.report.paper_tables import TITLES, _cells, format_cell
from c2f_spec.report.scores import ScoreCell
from c2f_spec.report.table_files import _latex, as_csv, as_latex
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.reporting import TABLES
from tests.support.report_store import experiment, filled

SIMS = {"data": {"train": "ch-sims"}, "evaluate": {"checkpoints": ["sft", "grpo"], "datasets": ["ch-sims"]}}
MODELS = [
    "Qwen/Qwen2.5-Omni-7B@ae9e1690543ffd5c0221dc27f79834d0294cba00",
    "Qwen/Qwen3-Omni-30B-A3B-Instruct@26291f793822fb6be9555850f06dfe95f2d7e695",
]
KEEP = {"steps": 20, "hint": {"hard_policy": "keep"}}


def hinted(name="hinted", **changes):
    return experiment(name=name, **{**SIMS, "tables": ["V", "VI"], **changes})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Table VI with both rows, one of them on two seeds; Table V without its first row."""
    experiments = (hinted(), hinted("again", seed=43), hinted("kept", grpo=KEEP, tables=["VI"]))
    store = filled(tmp_path_factory.mktemp("paper"), *experiments)
    return collect(store.plan, store.objects)


def test_the_paper_s_rows_are_all_there_and_name_what_we_know():
    assert len(printed_rows()) == 71
    assert {row["table"] for row in printed_rows()} == set(TITLES) == set(TABLES)
    assert {row["test"] for row in printed_rows()} <= set(DATASETS)
    assert {row["train"] for row in printed_rows() if row["table"] in ("I", "II")} == {TABLES["I"]}
    runnable = {row["model"] for row in printed_rows() if row["model"] in RUNS}
    assert runnable == set(RUNS)
    assert sum(row["model"] in RUNS for row in printed_rows()) == 23


def test_every_row_is_filled_by_the_experiment_that_runs_it(report):
    table = {t.name: {row.model: row for row in t.rows} for t in report.tables}
    assert list(table) == ["V", "VI"]
    assert [table["VI"][name].cell.seeds for name in ("w/ Hint", "w/o Hint")] == [(42, 43), (42,)]
    assert table["V"]["CoT(Zero-shot)"].state == "no experiment of this plan"
    assert table["V"]["CoT(SFT)"].state == ""
    cells = {cell.metric: cell for cell in table["VI"]["w/ Hint"].cells}
    scores = next(r for r in report.sections[0].tables[0].rows if r.model == "grpo").scores
    assert cells["Acc2"].mean == pytest.approx(100 * scores["Acc2"])  # both seeds hold the same answers here
    assert cells["Acc2"].spread == pytest.approx(0)
    assert cells["MAE"].mean == pytest.approx(scores["MAE"])


def paper_cells(acc2, mae, n=457, published=457):
    scores = {"Acc2": OverSeeds(acc2, None, None, (acc2,)), "MAE": OverSeeds(mae, None, None, (mae,))}
    found = ScoreCell("x", "sft", "ch-sims", scores, n, n, (0,), 0, {}, (42,), (), ())
    return list(_cells({"Acc2": 80.0, "MAE": 0.3}, {}, found, published))


def test_one_clip_of_the_paper_and_the_last_digit_are_no_difference():
    """457 clips: one of them is 0.22 points."""

    def equal(*arguments, **more):
        return [cell.equal for cell in paper_cells(*arguments, **more)]

    assert equal(0.8021, 0.3004) == [True, True]
    assert equal(0.8023, 0.3006) == [False, False]
    assert equal(0.8004, 0.3, n=10**6, published=10**6) == [True, True]
    assert equal(0.8006, 0.3, n=10**6, published=10**6) == [False, True]
    assert equal(None, 0.3) == [False, True]


@pytest.mark.parametrize("n", [8, 456, 458])
def test_another_number_of_clips_is_not_compared_with_the_paper(n):
    cells = paper_cells(0.8, 0.3, n=n)
    assert [(cell.delta, cell.equal) for cell in cells] == [(None, False)] * 2
    assert format_cell(cells[0], starred=False) == "80.0 (80.0)"


def test_an_undefined_metric_is_not_called_missing():
    cells = paper_cells(None, 0.3)
    assert format_cell(cells[0], starred=False) == "n/a (80.0)"
    assert format_cell(next(_cells({"Acc2": 80.0}, {}, None, 457)), starred=False) == "(80.0)"


def test_a_row_says_why_it_shows_no_difference(report):
    row = {row.model: row for row in report.tables[1].rows}["w/ Hint"]
    assert row.other_n == "no difference from the paper is shown: n is 60, and 457 in the paper"
    assert row.other_n in markdown(report)
    assert row.other_n in as_csv(report.tables)


def test_markdown_and_page_show_ours_the_paper_s_and_the_difference(report, golden):
    text = markdown(report)
    start = text.index("## Tables")
    golden("report/paper.md", text[start : text.index("\n## ", start + 4)])
    page = html(report)
    assert "Table VI: hints for hard samples, on CH-SIMS" in page
    words = re.sub(r"<[^>]+>", "", page)
    assert re.search(r"\d\d\.\d ± 0\.0 \(\d\d\.\d\)", words)


def test_csv_traces_each_number_to_its_evaluation(report):
    rows = list(csv.DictReader(io.StringIO(as_csv(report.tables))))
    ours = [row for row in rows if row["measured"]]
    assert {row["table"] for row in ours} == {"V", "VI"}
    keys = {cell.sources[0].key for table in report.tables for row in table.rows if (cell := row.cell)}
    assert {key for row in ours for key in row["keys"].split()} >= keys
    assert all(re.fullmatch(r"[0-9a-f]{64}( [0-9a-f]{64})*", row["keys"]) for row in ours)
    assert {(row["n"], row["n_expected"], row["unparsable"], row["overlap"]) for row in ours} >= {
        ("60", "60", "0", "0")
    }
    assert {row["seeds"] for row in ours} == {"42", "42 43"}
    assert [row["note"] for row in rows if row["model"] == "CoT(Zero-shot)"] == [
        "no experiment of this plan"
    ] * 6


def test_latex_is_escaped(report):
    text = as_latex(report.tables)
    assert text.count(r"\begin{tabular}{lllrrrrrrrrrrr}") == 2
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not [line for line in body if re.search(r"(?<!\\)[%#_]", line)]
    assert r"$\pm$" in text


def test_what_latex_would_not_print_as_it_stands_is_written_in_its_commands():
    """In its default encoding `<` prints an inverted exclamation mark, and `[` after a row is that row's argument."""
    assert _latex("[a] p < 0.001 | −1") == r"{[}a] p \textless{} 0.001 \textbar{} $-$1"
    assert _latex("50 % of a_b & {c}\u202e") == r"50 \% of a\_b \& \{c\}" + "\ufffd"


def test_what_was_read_into_a_cell_is_recorded():
    read = {(row["table"], row["model"], row["test"]): row["read"] for row in printed_rows() if "read" in row}
    assert len(read) == 6
    assert "46.8 or 46.3" in read["II", "HumanOmni", "cmu-mosei"]["Acc7"]


def test_a_doubtful_row_is_starred_and_its_reason_given(tmp_path):
    store = filled(tmp_path, hinted(tables=["III", "IV"]))
    text = markdown(collect(store.plan, store.objects))
    assert re.search(r"\| Ola \| ch-sims-v2 .*\(77\.6\\\*\)", text)
    assert "- Ola on ch-sims-v2, Acc2: printed as 71.6;" in text
    assert "HumanOmni on cmu-mosei: all five values equal" in text
    assert "- not in this plan: " in text


def test_a_doubt_stars_the_cells_that_it_names(tmp_path):
    store = filled(tmp_path, hinted(tables=["V"]))
    row = next(
        line for line in markdown(collect(store.plan, store.objects)).splitlines() if "CoT(SFT) |" in line
    )
    assert [cell.count("*") for cell in row.split("|")[4:8]] == [0, 1, 0, 0]  # Acc3 is in doubt


def test_a_report_without_tables_has_nothing_of_the_paper(tmp_path):
    store = filled(tmp_path, experiment())
    assert isinstance(store.plan, Plan)
    report = collect(store.plan, store.objects)
    assert report.tables == ()
    assert "## Tables" not in markdown(report) + html(report)


def test_report_check_names_the_line_that_changed(c2f, repository, tiny_spec):
    (repository / "specs" / "sims.yaml").write_text(
        "c2f: v1\nname: sims\nenvironment: local\ndata: {train: ch-sims}\nstudent: tiny\nformat: direct\n"
        "evaluate: {checkpoints: [base], datasets: [ch-sims]}\ntables: [III]\n"
    )
    (repository / "specs" / "c2f.lock").write_text(f"c2f: v1\ndatasets:\n  ch-sims: {'a' * 64}\n")
    c2f("report", "specs/sims.yaml", "--check", "out", check=64)
    c2f("report", "specs/sims.yaml", "--out", "out")
    assert "as committed" in c2f("report", "specs/sims.yaml", "--check", "out").stdout
    path = repository / "out" / "tables.csv"
    path.write_text(
        path.read_text().replace(
            "C2F-Thinker(SIMS),ch-sims,ID,Acc5,,,,,54.3", "C2F-Thinker(SIMS),ch-sims,ID,Acc5,,,,,61.6"
        )
    )
    text = c2f("report", "specs/sims.yaml", "--check", "out", check=4).stdout
    assert re.search(r"out/tables\.csv:\d+\n  committed  .*61\.6.*\n  now        .*54\.3", text)


def test_the_paper_s_spec_yields_all_seven_tables_and_lists_what_is_missing(c2f, repository, tiny_spec):
    """Of an empty store: every row that we can run is named with its experiment, and says that it was not run."""
    for path in (Path(__file__).parents[2] / "specs").glob("*.yaml"):
        (repository / "specs" / path.name).write_text(path.read_text())
    pins = {"datasets": list(DATASETS), "models": MODELS}
    lock = "".join(
        f"{kind}:\n" + "".join(f"  {name}: {'a' * 64}\n" for name in names) for kind, names in pins.items()
    )
    (repository / "specs" / "c2f.lock").write_text(f"c2f: v1\n{lock}")
    c2f("report", "specs/paper.yaml", "--on", "local", "--out", "out")
    text = (repository / "out" / "tables.md").read_text()
    assert re.findall("^## Table ([IV]+): ", text, re.MULTILINE) == list(TITLES)
    rows = list(csv.DictReader(io.StringIO((repository / "out" / "tables.csv").read_text())))
    notes = {(r["table"], r["model"], r["test"]): r["note"] for r in rows}
    ours = {row for row in notes if row[1] in RUNS}
    assert len(notes) == 71
    assert len(ours) == 23
    assert all("not run" in notes[row] and "paper-" in notes[row] for row in ours)
    assert text.count("- missing: ") == 23


def test_predictions_of_another_code_base_fill_its_row(tmp_path):
    """By our metrics, beside what the paper prints; on the other test set there are none, and the row says so."""
    asked = {"name": "pandagpt", "dataset": "ch-sims", "predictions": "panda-on-sims"}
    evaluate = {**SIMS["evaluate"], "datasets": ["ch-sims", "ch-sims-v2"], "import": [asked]}
    store = filled(
        tmp_path,
        hinted(
            tables=["III", {"name": "own", "rows": [{"variant": "hinted", "checkpoint": "pandagpt"}]}],
            evaluate=evaluate,
        ),
    )
    report = collect(store.plan, store.objects)
    rows = {(row.model, row.test): row for row in report.tables[0].rows}
    assert rows["PandaGPT", "ch-sims"].cell.sources[0].key in {s.key for s in report.stages}
    assert rows["PandaGPT", "ch-sims"].cells[0].mean is not None
    assert rows["PandaGPT", "ch-sims-v2"].state == "not run here: another code base"
    assert report.tables[1].rows[0].cells["ch-sims"].scores
    assert [c is None for r in report.matrix.rows if r.checkpoint == "pandagpt" for c in r.cells] == [
        False,
        True,
    ]
    text = markdown(report)
    assert "| pandagpt |" in text
    assert "pandagpt" in html(report)
