"""Problems in every format, in colour where somebody looks, and counted."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest

from c2f_spec.cli.main import main
from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.diagnostics.render import render_text, summarise, supports_colour
from c2f_spec.errors import InvalidSpec
from c2f_spec.language.document import load_document
from c2f_spec.language.parse import parse
from c2f_spec.language.schema_errors import FOREIGN_NAMES
from c2f_spec.spec.experiment import Experiment
from tests.conftest import REPOSITORY

BAD = REPOSITORY / "tests" / "bad" / "typos.yaml"
# The schema of OASIS (SARIF 2.1.0, errata 01) without its descriptions.
SARIF = json.loads((REPOSITORY / "tests" / "data" / "sarif-2.1.0.json").read_text())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One good, one bad, one leaking spec, and one that is not there."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs").mkdir()
    shutil.copytree(REPOSITORY / "k8s", tmp_path / "k8s")
    shutil.copy(REPOSITORY / "specs" / "demo.yaml", tmp_path / "specs")
    sims = (REPOSITORY / "specs" / "sims_hint.yaml").read_text()
    later = sims.replace("hint: {", "hint: {placement: in_prompt, ", 1)
    (tmp_path / "specs" / "sims.yaml").write_text(later)
    shutil.copy(BAD, tmp_path / "specs" / "a, b%.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


NAMES = ["specs/demo.yaml", "specs/sims.yaml", "specs/a, b%.yaml", "specs/dem.yaml"]


def run(capsys, *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def test_text_ends_with_a_count_and_says_what_is_valid(folder, capsys):
    code, out, err = run(capsys, "validate", *NAMES)
    assert code == 3
    assert out == "specs/demo.yaml: valid\nspecs/sims.yaml: valid\n"
    assert err.splitlines()[-1] == "16 errors, 1 warning in 3 files"
    assert "specs/dem.yaml: file not found [C2F117]\n  hint: did you mean `specs/demo.yaml`?" in err
    assert "\x1b" not in err


def test_every_verb_tells_problems_alike(folder, capsys):
    _, _, checked = run(capsys, "validate", "specs/a, b%.yaml")
    code, _, planned = run(capsys, "plan", "specs/a, b%.yaml")
    assert code == 3
    assert planned == checked


def test_json_has_every_problem_with_every_key(folder, capsys):
    code, out, err = run(capsys, "validate", "-o", "json", *NAMES)
    answer = json.loads(out)
    keys = {"code", "severity", "file", "line", "column", "end_column", "message", "hint", "notes"}
    assert (code, err, answer["format_version"]) == (3, "", 1)
    assert all(set(item) == keys for item in answer["diagnostics"])
    missing = next(i for i in answer["diagnostics"] if i["code"] == "C2F117")
    assert (missing["file"], missing["line"]) == ("specs/dem.yaml", None)
    typo = next(i for i in answer["diagnostics"] if "learning_rat" in i["message"])
    assert (typo["line"], typo["column"], typo["end_column"]) == (8, 7, 19)
    assert {i["severity"] for i in answer["diagnostics"]} == {"error", "warning", "note"}


def test_all_well_is_an_empty_answer(folder, capsys):
    assert run(capsys, "validate", "specs/demo.yaml") == (0, "specs/demo.yaml: valid\n", "")
    assert json.loads(run(capsys, "validate", "-o", "json", "specs/demo.yaml")[1])["diagnostics"] == []
    assert run(capsys, "validate", "-o", "github", "specs/demo.yaml") == (0, "", "")
    sarif = json.loads(run(capsys, "validate", "-o", "sarif", "specs/demo.yaml")[1])
    assert sarif["runs"][0]["results"] == []


def test_annotations_of_github_are_one_escaped_line_each(folder, capsys):
    _, out, _ = run(capsys, "validate", "-o", "github", *NAMES)
    for line in out.splitlines():
        found = re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.+)", line)
        assert found, line
        properties = dict(item.split("=", 1) for item in found[2].split(","))
        assert properties["title"].startswith("c2f-spec C2F")
    assert "file=specs/a%2C b%25.yaml,line=2,col=7,endColumn=12," in out
    assert "%0Ahint: did you mean `min_words`?" not in out
    assert "%0Ahint: did you mean `learning_rate`?" in out


def test_a_spec_cannot_start_a_command_of_github(folder, capsys):
    (folder / "specs" / "x.yaml").write_text('"\\n::error::owned\\r\\n%0A": 1\n')
    _, out, _ = run(capsys, "validate", "-o", "github", "specs/x.yaml")
    assert not any(line.startswith("::error::") for line in out.splitlines())


def test_sarif_is_valid_and_points_into_files(folder, capsys):
    code, out, _ = run(capsys, "validate", "-o", "sarif", *NAMES)
    sarif = json.loads(out)
    jsonschema.Draft4Validator(SARIF).validate(sarif)
    assert code == 3
    run_ = sarif["runs"][0]
    rules = run_["tool"]["driver"]["rules"]
    for result in run_["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    places = [r["locations"][0]["physicalLocation"] for r in run_["results"]]
    assert {p["artifactLocation"]["uri"] for p in places} == {
        "specs/sims.yaml", "specs/a%2C%20b%25.yaml", "specs/dem.yaml",
    }  # fmt: skip
    assert "region" not in next(p for p in places if "dem" in p["artifactLocation"]["uri"])


def problem() -> SpecErrors:
    with pytest.raises(SpecErrors) as caught:
        load_document(b"a: 1\na: 2\n", "s.yaml")
    return caught.value


def test_colour_repeats_what_words_say():
    item = problem().diagnostics[0]
    coloured = render_text(item, colour=True)
    assert "\x1b[1;31ms.yaml:2:1: duplicate key `a`" in coloured
    assert "\x1b[2m  hint: remove one of them\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render_text(item) == str(item)


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colour_is_for_terminals(monkeypatch, environment, terminal, expected):
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert supports_colour(stream) is expected


def test_problems_without_a_file_are_counted_too():
    assert summarise([InvalidSpec("no environment")]) == "1 error"
    assert summarise([]) == ""


def hint(extra: str) -> str:
    base = "c2f: v1\nname: x\ndata: {train: icwsm2014-movie}\nstudent: tiny\n"
    with pytest.raises(SpecErrors) as caught:
        parse(load_document((base + extra).encode(), "s.yaml"))
    return caught.value.diagnostics[0].hint


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("beta: 0.1\n", "move `beta` to `grpo`"),
        ("sft: {kl_coef: 0.1}\n", "rename `kl_coef` to `beta` and move it to `grpo`"),
        ("sft: {lr: 1e-5}\n", "use `learning_rate`"),
        ("grpo: {num_generations: 8}\n", "use `generations`"),
        ("grpo: {threshold: 1}\n", "move `threshold` to `grpo.hint.trigger`"),
        ("sft: {rank: 8}\n", "move `rank` to `sft.tuner`"),
        ("sft: {seed: 1}\n", "move `seed` to the top of the spec, beside `name`"),
        (
            "teacher: {kind: lexicon, samples: 2}\n",
            "`samples` is a field of kind `transformers` or `vllm` or `openai`",
        ),
        ("sft: {learning_rat: 1}\n", "did you mean `learning_rate`?"),
    ],
)
def test_a_field_that_moved_is_shown_the_way(extra, expected):
    assert hint(extra) == expected


def test_the_usual_names_lead_to_fields_that_exist():
    from c2f_spec.language.schema_errors import _homes

    assert set(FOREIGN_NAMES.values()) <= set(_homes(Experiment))
    assert not set(FOREIGN_NAMES) & set(Experiment.model_fields)


def test_explain_prints_a_code_and_refuses_others(capsys):
    code, out, _ = run(capsys, "explain", "c2f107")
    assert code == 0
    assert out.startswith("C2F107: YAML anchor\n\n")
    assert "wrong:\n  sft: &train {epochs: 3}\n" in out
    assert run(capsys, "explain", "C2F999")[0] == 64
    assert run(capsys, "explain", "C2F1")[0] == 64


def test_init_writes_a_valid_spec_and_never_overwrites(folder, capsys):
    code, out, _ = run(capsys, "init", "specs/My Spec.yaml")
    assert (code, out) == (0, "wrote specs/My Spec.yaml; next: c2f-spec validate specs/My Spec.yaml\n")
    written = Path("specs/My Spec.yaml").read_text()
    assert written.startswith("# yaml-language-server: $schema=")
    assert written.splitlines()[0].endswith("c2f_spec/schemas/v1.json")
    assert "name: my-spec\n" in written
    assert run(capsys, "validate", "specs/My Spec.yaml") == (0, "specs/My Spec.yaml: valid\n", "")
    code, _, err = run(capsys, "init", "specs/My Spec.yaml")
    assert (code, Path("specs/My Spec.yaml").read_text()) == (64, written)
    assert "not overwritten" in err
    assert run(capsys, "init", "x.txt")[0] == 64
