"""Predictions of other code bases: staged, planned, held against the clips; and cells that exist are not made again."""

from __future__ import annotations

import json

import pytest

from c2f_spec.errors import InvalidData
from c2f_spec.keys import content_key
from c2f_spec.language.lock_file import read_lock
from c2f_spec.metrics.answers import Imported, read_imported
from c2f_spec.plan.keys import ExperimentSource, Pins, build_plan
from c2f_spec.plan.pins import needs
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.spec.experiment import Experiment
from c2f_spec.store.open import open_store
from c2f_spec.store.records import datasets_present
from runtime.stages import evaluate
from runtime.text.clips import read_jsonl
from tests.support import omni

HERE = LocalEnvironment(c2f="v1", kind="local", store="store", demo=True)
PINS = Pins({name: content_key(name) for name in (*DATASETS, "panda-movie")})
PANDA = {"name": "panda-gpt", "dataset": "icwsm2014-movie", "predictions": "panda-movie"}


def experiment(datasets=("icwsm2014-movie",), **evaluate):
    section = {"checkpoints": ["base", "sft"], "datasets": list(datasets), **evaluate}
    return Experiment(c2f="v1", name="x", data={"train": "icwsm2014-movie"}, student={"kind": "tiny"}, format="direct", sft={}, evaluate=section)  # fmt: skip


def stages(e):
    plan = build_plan([ExperimentSource(e, "")], PINS, HERE, "here")
    return {stage.label: stage for stage in plan.stages}


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(tmp_path, rows):
    """Run the stage on staged predictions of the toy data set."""
    data = tmp_path / "data"
    data.mkdir(parents=True)
    lines(data / "predictions.jsonl", rows)
    inputs = {"prepare": omni.prepared(), "data": data}
    ctx = omni.context(tmp_path, "evaluate", inputs, **{"import": "panda-toy", "checkpoint": "panda-gpt"})
    return evaluate.run(ctx), list(read_jsonl(ctx.out / "predictions.jsonl"))


def test_one_more_data_set_makes_nothing_again_that_exists():
    before, after = stages(experiment()), stages(experiment(("icwsm2014-movie", "icwsm2014-nyt")))
    assert all(stage.key == after[label].key for label, stage in before.items())
    new = sorted(after.keys() - before.keys())
    assert new == ["evaluate base on icwsm2014-nyt", "evaluate sft on icwsm2014-nyt", "prepare icwsm2014-nyt"]


def test_how_metrics_are_computed_is_in_no_key():
    other = experiment(unparsable="neutral_fill", bootstrap={"resamples": 10})
    assert stages(experiment()).keys() == stages(other).keys()
    assert all(stage.key == stages(other)[label].key for label, stage in stages(experiment()).items())


def test_an_import_is_one_more_cell_and_changes_no_other():
    e = experiment(**{"import": [PANDA]})
    before, after = stages(experiment()), stages(e)
    assert all(stage.key == after[label].key for label, stage in before.items())
    (label,) = after.keys() - before.keys()
    assert label == "import panda-gpt on icwsm2014-movie"
    stage = after[label]
    assert (stage.kind, stage.placement.gpus) == ("evaluate", 0)
    assert stage.preimage["data"] == {"name": "panda-movie", "digest": PINS.datasets["panda-movie"]}
    need = next(need for need in needs(e) if need.name == "panda-movie")
    assert need.pin_hint == "stage and pin it: c2f-spec data add panda-movie --predictions FILE"


def test_predictions_become_rows_as_ours_and_what_is_missing_is_unparsable(tmp_path):
    ids = omni.reader().ids("test")
    rows = [
        {"id": ids[0], "prediction": -2.5, "label": -3.1, "output": "bad"},
        {"id": ids[1], "prediction": None},
    ]
    summary, made = imported(tmp_path, rows)
    assert summary == {"clips": 5, "scored": 1, "missing": 3}
    assert [row["id"] for row in made] == ids
    first = [made[0][name] for name in ("score", "label", "output", "failure")]
    assert first == [-2.5, -3.1, "bad", None]
    assert made[1]["failure"] == {"reason": "unparsable", "message": "no prediction"}
    assert made[2]["failure"] == {"reason": "missing", "message": "no prediction"}
    assert {row["polarity"] for row in made} == {None}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "toy-01", "prediction": 1}, "1 clips that the test split does not have, such as `toy-01`"),
        (
            {"id": "toy-16", "prediction": 1, "label": 2.0},
            "says that `toy-16` has the label 2, and it has -3.1",
        ),
    ],
)
def test_predictions_of_something_else_are_refused(tmp_path, row, message):
    with pytest.raises(InvalidData, match=message):
        imported(tmp_path, [row])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no predictions"),
        ("no json\n", ":1: the line is not JSON"),
        ("[1]\n", ":1: the line has no `id`"),
        ('{"prediction": 1}\n', ":1: the line has no `id`"),
        ('{"id": "a"}\n', "the clip `a` has no `prediction`"),
        ('{"id": "a", "prediction": "1"}\n', "the `prediction` of `a` is neither a number nor null"),
        (
            '{"id": "a", "prediction": 1}\n{"id": "a", "prediction": 1}\n',
            ":2: duplicate id `a`",
        ),
    ],
)
def test_a_wrong_line_is_named_before_anything_is_stored(c2f, tmp_path, text, message):
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidData, match=message):
        read_imported(path)


def test_fields_that_a_line_may_have(tmp_path):
    rows = [{"id": 7, "prediction": 1, "label": 2, "output": "x"}, {"id": "b", "prediction": float("nan")}]
    assert read_imported(lines(tmp_path / "p.jsonl", rows)) == {"7": Imported(1.0, 2.0, "x"), "b": Imported(None, None, "")}  # fmt: skip


def test_an_answer_may_hold_what_ends_lines_elsewhere(tmp_path):
    """JSON escapes line feeds and leaves these; U+0085 and U+2028 are what models write between paragraphs, too."""
    said = "one\u2028two\x85three\u2029"
    row = {"id": "a", "prediction": 1, "output": said}
    (tmp_path / "p.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n")
    assert read_imported(tmp_path / "p.jsonl") == {"a": Imported(1.0, None, said)}


def test_predictions_are_staged_by_digest_and_pinned(c2f, tmp_path):
    path = lines(tmp_path / "p.jsonl", [{"id": "a", "prediction": 1}])
    c2f("data", "add", "panda-movie", "--predictions", str(path))
    said = c2f("data", "add", "panda-movie", "--predictions", str(path)).stdout
    assert "panda-movie: 1 predictions, digest" in said
    pin = read_lock(tmp_path / "specs" / "c2f.lock").datasets["panda-movie"]
    assert datasets_present(open_store(str(tmp_path / ".c2f" / "store")), "panda-movie") == [pin]
    refused = c2f("data", "add", "ch-sims", "--predictions", str(path), check=64)
    assert "is the name of a data set" in refused.stderr
    path.write_text("no\n")
    refused = c2f("data", "add", "panda-movie", "--predictions", str(path), check=3)
    assert "the line is not JSON" in refused.stderr
