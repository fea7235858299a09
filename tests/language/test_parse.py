"""Every wrong spec of `tests/bad/` has its whole message in `tests/golden/bad/`; the shipped specs are valid."""

from pathlib import Path

import pytest

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.language.document import load_document, read_document
from c2f_spec.language.parse import parse
from c2f_spec.plan.compile import load_variants

HERE = Path(__file__).parents[1]
BAD = sorted((HERE / "bad").glob("*.yaml"))
SPECS = sorted((HERE.parent / "specs").glob("*.yaml"))
SMALLEST = "c2f: v1\nname: x\ndata: {train: icwsm2014-movie}\nstudent: tiny\nevaluate: {checkpoints: [base], datasets: [icwsm2014-movie]}\n"


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_a_wrong_spec_is_explained(path, golden):
    with pytest.raises(SpecErrors) as caught:
        parse(read_document(path, path.name))
    golden(f"bad/{path.stem}.txt", f"{caught.value}\n")


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_a_shipped_spec_is_valid(path):
    for loaded in load_variants(path):
        assert loaded.spec == path.stem.replace("_", "-")


def experiment_of(extra: str):
    return parse(load_document((SMALLEST + extra).encode(), "s.yaml"))[0]


def test_the_schema_decides_what_a_scalar_is():
    e = experiment_of("description: no\nformat: direct\nsft: {learning_rate: 1e-5, steps: '010'}\n")
    assert e.description == "no"
    assert e.sft.learning_rate == 1e-5
    assert e.sft.steps == 10


def test_an_all_digit_revision_stays_a_revision():
    digits = "1234567890" * 4
    text = SMALLEST.replace("student: tiny", f"student: {{model: a/b, revision: {digits}}}")
    assert parse(load_document(text.encode(), "s"))[0].student.revision == digits


def test_short_forms_mean_the_long_ones():
    assert experiment_of("format: dc\n").format == experiment_of("format: {kind: dc}\n").format


def test_a_leaking_evaluation_is_a_warning():
    text = SMALLEST.replace("train: icwsm2014-movie", "train: ch-sims").replace(
        "[icwsm2014-movie]", "[ch-sims-v2]"
    )
    _, warnings = parse(load_document(text.encode(), "s.yaml"))
    assert [w.message for w in warnings] == [
        "test data leak: `ch-sims-v2` contains clips of `ch-sims`, which is trained on"
    ]
