"""The schema: presets, field classes, what runs, warnings, the JSON Schema for editors, and `explain`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from c2f_spec.cli.main import main
from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.errors import InvalidStageSpec, UsageError
from c2f_spec.language.document import load_document, read_document
from c2f_spec.language.field_help import every_field, explain_field, re_runs
from c2f_spec.language.json_schema import COMMITTED, json_schema, schema_text
from c2f_spec.language.parse import parse
from c2f_spec.plan.capabilities import unsupported_problems
from c2f_spec.plan.compile import refuse
from c2f_spec.spec import support
from c2f_spec.spec.base import DISCRIMINATORS, NOT_IN_PAPER, SpecModel, default_of, identity
from c2f_spec.spec.experiment import Experiment
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.grpo import REWARD_NAMES, Grpo
from c2f_spec.spec.hint import PRESETS, Hint, merge_fields
from c2f_spec.spec.sections import Media, Sft, Student
from tests.conftest import load_spec

HERE = Path(__file__).parents[1]
SPECS = sorted((HERE.parent / "specs").glob("*.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))
START = "c2f: v1\nname: x\ndata: {train: icwsm2014-movie}\nstudent: tiny\n"
QWEN = "{model: Qwen/Qwen2.5-Omni-7B, revision: " + "0" * 40 + "}"
REAL = f"c2f: v1\nname: x\ndata: {{train: ch-sims}}\nstudent: {QWEN}\n"


def parsed(extra: str, start: str = START):
    return parse(load_document((start + extra).encode(), "s.yaml"))


# ---- presets

BESIDE = {"questa_50_25": {"trigger": {"digest": "0" * 64, "uri": "hard.txt"}}}
"""What a preset cannot know."""


def named(name):
    return {"preset": name, **BESIDE.get(name, {})}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_fields_written_out(name):
    preset, written = Hint(**named(name)), Hint(**merge_fields(PRESETS[name], BESIDE.get(name, {})))
    assert identity(preset) == identity(written)
    assert identity(Grpo(hint=preset)) == identity(Grpo(hint=written))
    assert preset.model_copy(update={"preset": None}) == written


def test_the_papers_own_preset_is_every_default():
    assert identity(Grpo(hint={"preset": "c2f_thinker"})) == identity(Grpo()) == {}


def test_fields_beside_a_preset_override_it():
    hint = Hint(preset="polarity_taught", group={"k": 3}, forced_loss="mask")
    assert hint.group.kind == "replace_k"  # a map of the same kind merges
    assert hint.group.k == 3
    assert hint.forced_loss.mode == "mask"  # another mode replaces it, and `gamma` goes with it
    assert hint.polarity_reward_on_hinted == "exclude"


def test_a_resolved_preset_stays_what_it_is():
    hint = Hint(preset="c2f_no_hint", warmup_steps=3)
    assert Hint(**hint.model_dump()) == hint


@pytest.mark.parametrize("name", PRESETS)
def test_presets_pass_the_cross_checks(name):
    chains = "teacher: {kind: lexicon}\nfilters: {polarity_match: {}}\n"
    _, warnings = parsed(f"{chains}grpo: {{hint: {json.dumps(named(name))}}}\n")
    assert not warnings


# ---- keys


def test_a_field_of_the_place_leaves_no_trace_in_a_key():
    teacher = {"kind": "vllm", "model": "a/b", "revision": "0" * 40}
    one, other = ({**teacher, "tensor_parallel": n} for n in (2, 4))
    grpo = [Grpo(engine={"kind": "vllm", "memory": m}) for m in (0.3, 0.4)]
    assert identity(grpo[0]) == identity(grpo[1])
    adapter = TypeAdapter(Experiment.model_fields["teacher"].annotation)
    assert identity(adapter.validate_python(one)) == identity(adapter.validate_python(other))
    student = TypeAdapter(Student).validate_python(
        {"model": "a/b", "revision": "0" * 40, "attention": "sdpa"}
    )
    assert "attention" not in identity(student)


# ---- descriptions and classes


def test_every_field_says_what_it_is():
    for found in every_field():
        if found.path[-1] not in ("kind", "mode"):
            assert found.info.description, found.path
            assert found.info.description.endswith((".", "`")), found.path


def test_the_mark_of_our_own_defaults_ends_the_description():
    """The report and `explain` look for it at the end."""
    for found in every_field():
        words = found.info.description or ""
        assert words.lower().count("not in the paper") == words.endswith(NOT_IN_PAPER), found.path


def test_the_papers_values_are_the_defaults():
    grpo = Grpo()
    assert (grpo.generations, grpo.beta, grpo.learning_rate, grpo.schedule) == (4, 0.1, 1e-5, "cosine")
    assert Sft().learning_rate == 1e-5
    rewards = grpo.rewards
    assert (rewards.format.weight, rewards.polarity.weight, rewards.score.weight) == (1, 1, 1)


# ---- what runs


def test_every_default_runs():
    for found in every_field():
        values = support.supported_values(found.path)
        if values is not None and not found.info.is_required() and found.path[-1] not in DISCRIMINATORS:
            default = default_of(found.model, found.path[-1])
            assert isinstance(default, SpecModel) or default in values, found.path

    for name, section in (("grpo", Grpo()), ("sft", Sft()), ("filters", Filters()), ("media", Media())):
        assert list(support.unsupported(section, (name,))) == []


def test_every_line_of_the_table_names_a_field():
    paths = [found.path for found in every_field()]
    for line in support.VALUES:
        parts = line.split(".")
        assert any(
            len(p) == len(parts) and all(w in ("*", q) for w, q in zip(parts, p, strict=True)) for p in paths
        ), line


@pytest.mark.parametrize(
    ("section", "place", "says"),
    [
        ("grpo: {hint: {placement: in_prompt}}", "5:26", "`grpo.hint.placement: in_prompt`"),
        ("grpo: {hint: {forced_loss: shaped}}", "5:28", "`grpo.hint.forced_loss.mode: shaped`"),
        ("teacher: lexicon\nfilters: {format: {on_fail: flag}, polarity_match: {}}", "6:29", "`filters.format.on_fail: flag`"),
    ],
)  # fmt: skip
def test_what_does_not_run_is_refused_at_its_line(tmp_path, section, place, says):
    path = tmp_path / "s.yaml"
    path.write_text(f"{START}{section}\n")
    loaded = load_spec(path)
    with pytest.raises(SpecErrors) as caught:
        refuse([loaded], lambda item: unsupported_problems(item.experiment))
    found = [d for d in caught.value.diagnostics if d.message.startswith(says)]
    assert len(found) == 1
    assert found[0].message.endswith("is not supported by this version")
    assert str(found[0].place).endswith(f"s.yaml:{place}")


def test_a_stage_refuses_what_the_compiler_should_have(tmp_path):
    """Both sides read one table."""
    from c2f_spec.spec.handoff import StageFile
    from runtime.process.context import Context

    preimage = {"stage": "grpo", "spec": {"grpo": {"hint": {"placement": "in_prompt"}}}}
    stage = StageFile(kind="grpo", key="0", name="g", preimage=preimage, store="", scratch="")
    ctx = Context(stage, {}, tmp_path, store=None)
    with pytest.raises(
        InvalidStageSpec, match=r"`grpo.hint.placement: in_prompt` is not supported by this version"
    ):
        ctx.section("grpo", Grpo)


# ---- warnings


@pytest.mark.parametrize(
    ("code", "spec", "says"),
    [
        ("C2F319", REAL.replace("ch-sims", "cmu-mosei") + "format: direct\nsft: {}\n", "they have 2 decimals"),
        ("C2F327", START + "grpo: {hint: {hard_policy: keep, dropout: 0.1}}\n", "`dropout` has no effect"),
        ("C2F330", START + "grpo: {scale: batch}\n", "`scale: batch` mixes hinted and other groups"),
        ("C2F334", START + "grpo: {hint: {group: {kind: append, k: 5}}}\n", "5 hinted answers are appended to 4"),
        ("C2F345", REAL + "teacher: {kind: vllm, tensor_parallel: 1, model: Qwen/Qwen3-Omni-30B-A3B-Instruct, revision: "
         + "0" * 40 + "}\nfilters: {polarity_match: {}}\n", "59 GiB"),
        ("C2F360", REAL + "grpo: {}\n", "learning rate 1e-05 is too high for full-parameter GRPO"),
        ("C2F327", START + "grpo: {hint: {preset: polarity_taught, hard_policy: keep, group: {k: 3}}}\n",
         "`group` has no effect"),
        ("C2F330", START + "grpo: {scale: batch, hint: {trigger: always, dropout: 0.1}}\n", "`scale: batch` mixes"),
        ("C2F330", START + "grpo: {scale: batch, hint: {trigger: always, max_hinted_fraction: 0.5}}\n", "`scale: batch` mixes"),
        ("C2F368", START + "grpo: {steps: 5}\ncheckpoints: {every: 10}\n", "`grpo` ends after 5 steps, before its first"),
        ("C2F368", START + "format: direct\nsft: {steps: 10}\ncheckpoints: {every: 11}\n", "`sft` ends after 10 steps"),
        ("C2F318", REAL.replace("ch-sims", "ch-sims-v2") + "evaluate: {checkpoints: [base], datasets: [ch-sims]}\n",
         "contains clips of `ch-sims`"),
    ],
)  # fmt: skip
def test_what_is_likely_wrong_is_a_warning(code, spec, says):
    _, warnings = parsed("", spec)
    assert [w.code for w in warnings if says in w.message] == [code], warnings


TAUGHT = "teacher: lexicon\nfilters: {polarity_match: {}}\n"


@pytest.mark.parametrize(
    "section",
    [
        "grpo: {epochs: 3}\ncheckpoints: {every: 100}",
        "grpo: {steps: 100}\ncheckpoints: {every: 100}",
        "grpo: {scale: batch, hint: {trigger: always}}",
        "grpo: {scale: batch, hint: {content: {kind: text, column: note}, placement: in_prompt}}",
        "grpo: {hint: {content: {kind: text, column: a}, placement: in_prompt, group: {kind: append, k: 2}, normalise: joint}}",
        "grpo: {hint: {preset: polarity_taught, hard_policy: keep}}",
        "grpo: {hint: {preset: polarity_taught, hard_policy: drop, trigger: {threshold: 1.5}}}",
        "grpo: {hint: {preset: polarity_taught, placement: in_prompt, forced_loss: mask}}",
        "grpo: {generations: 5, hint: {group: {kind: replace_k, k: 3}}}",
        "grpo: {generations: 2, hint: {group: {kind: append, k: 2}}}",
        "teacher: lexicon\nfilters: {polarity_match: {}, score_tolerance: {max_fraction: 0.2}}",
        "teacher: lexicon\nfilters: {polarity_match: {}, score_tolerance: {max_abs: 0.4}}",
    ],
)  # fmt: skip
def test_what_is_right_is_not_warned_of(section):
    assert parsed(section + "\n")[1] == []


@pytest.mark.parametrize("grpo", ["steps: 500", "epochs: 3"])
def test_each_section_is_judged_by_its_own_steps(grpo):
    _, warnings = parsed(f"{TAUGHT}sft: {{steps: 10}}\ngrpo: {{{grpo}}}\ncheckpoints: {{every: 100}}\n")
    assert [(w.code, w.message, w.hint) for w in warnings] == [
        (
            "C2F368",
            "`sft` ends after 10 steps, before its first checkpoint at step 100",
            "lower `checkpoints.every` to 10 or less",
        )
    ]


def test_a_bound_that_is_written_is_known_in_every_variant():
    """Variants share sections that were validated once."""
    filters = "filters: {polarity_match: {}, score_tolerance: {max_fraction: 0.2}}\n"
    document = load_document((START + "teacher: lexicon\n" + filters).encode(), "s.yaml")
    seen = {}
    once, again = (parse(document, seen)[0].filters.score_tolerance for _ in range(2))
    assert once is again
    assert again.model_fields_set == {"max_fraction"}
    document = load_document(
        (START + "teacher: lexicon\n" + filters.replace("0.2", "0.2, max_abs: 1")).encode(), "s.yaml"
    )
    seen = {}
    for _ in range(2):
        with pytest.raises(SpecErrors, match="conflicting bounds"):
            parse(document, seen)


def test_every_code_of_the_cross_checks_is_shown_somewhere():
    import re

    rules = "".join(p.read_text() for p in (HERE.parent / "c2f_spec" / "parse").glob("*.py"))
    shown = (
        "".join(p.read_text() for p in (HERE / "golden" / "bad").glob("*.txt")) + Path(__file__).read_text()
    )
    codes = re.findall(r'"(C2F3\d\d)"', rules)
    assert set(codes) <= set(re.findall(r"C2F3\d\d", shown))
    assert len(codes) == len(set(codes)), "a code means one problem"


# ---- the JSON Schema for editors


def checked(*paths: Path) -> dict[str, bool]:
    """Name to validity, by a validator that knows nothing of us."""
    command = [sys.executable, "-m", "check_jsonschema", "-o", "json", "--schemafile", str(COMMITTED)]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    wrong = {Path(e["filename"]).name for e in [*report["errors"], *report.get("parse_errors", [])]}
    return {p.name: p.name not in wrong for p in paths}


def test_the_committed_schema_is_the_models(request):
    if request.config.getoption("--update-golden"):
        COMMITTED.write_text(schema_text())
    assert schema_text() == COMMITTED.read_text(), "run `make golden` and read the diff"


def test_the_schema_is_draft_07(capsys):
    written = schema_text()
    for word in ("$defs", "discriminator", "prefixItems", '"named"', '"class"'):
        assert word not in written
    command = [sys.executable, "-m", "check_jsonschema", "--check-metaschema", str(COMMITTED)]
    subprocess.run(command, capture_output=True, check=True)
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == written


def test_nothing_stands_beside_a_reference():
    def walk(node):
        if isinstance(node, dict):
            assert "$ref" not in node or list(node) == ["$ref"]
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(json_schema())


def test_shipped_specs_are_valid_for_an_independent_validator(tmp_path):
    odd = tmp_path / "odd.yaml"  # what our language takes, and YAML's types would not
    digits = "1234567890" * 4
    odd.write_text(
        f"c2f: v1\nname: 42\ndescription: no\ndata: {{train: ch-sims}}\nstudent: {{model: a/b, revision: {digits}}}\n"
        "format: direct\nsft: {learning_rate: 1e-5, steps: '010', tuner: lora}\nfilters:\nteacher: null\n"
        "resources: {sft: {zero: 2}}\n"
    )
    parse(read_document(odd, "odd.yaml"))
    assert all(checked(*SPECS, odd).values())


BEYOND = {"width"}
"""Of the wrong values, those that no JSON Schema of single fields can see: rules between two fields of a section."""


def test_wrong_specs_are_invalid_for_it_if_a_field_is_wrong_and_valid_if_only_sections_disagree():
    found = checked(*BAD)
    for path in BAD:
        codes = {
            line.split("[")[-1][:6]
            for line in (HERE / "golden" / "bad" / f"{path.stem}.txt").read_text().splitlines()
            if line.endswith("]") and "[C2F" in line
        }
        fields_wrong = any(code < "C2F3" and code != "C2F202" for code in codes)
        if "C2F202" in codes and not fields_wrong:
            continue  # inside a section a missing field may be inherited; at the top see the next test
        assert found[path.name] == (not fields_wrong or path.stem in BEYOND), (path.stem, codes)


def test_a_spec_that_builds_on_nothing_needs_its_sections(tmp_path):
    for name, extra in (
        ("alone", ""),
        ("on_base", "extends: base.yaml\n"),
        ("on_template", "template: t.yaml\n"),
    ):
        (tmp_path / f"{name}.yaml").write_text(f"c2f: v1\nname: x\n{extra}grpo: null\n")
    found = checked(*tmp_path.glob("*.yaml"))
    assert found == {"alone.yaml": False, "on_base.yaml": True, "on_template.yaml": True}


# ---- explain


def test_every_field_is_explained():
    for found in every_field():
        told = explain_field(".".join(found.path))
        assert told.startswith(".".join(found.path))
        assert "\n  type     " in told


def test_a_field_is_explained_with_what_it_costs(capsys):
    assert main(["explain", "grpo.hint.trigger.threshold"]) == 0
    out = capsys.readouterr().out
    for words in (
        "number, or `auto`",
        "default  auto",
        "a change re-runs grpo",
        "not in the paper: our default",
    ):
        assert words in out
    assert "placement: where or how it runs; a change re-runs nothing" in explain_field("resources.sft.gpus")
    assert "source   paper: 0.1" in explain_field("grpo.beta")
    assert "support  only in_answer\n" in explain_field("grpo.hint.placement") + "\n"
    assert "(of kind `transformers`, `vllm`, `openai`)" in explain_field("teacher.temperature")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("grpo.hint.triger", "did you mean `grpo.hint.trigger`?"),
        ("grpo.hnt.trigger", "did you mean `grpo.hint`?"),
        ("evaluation", "did you mean `evaluate`?"),
        ("grpo.rewards.f1", "use one of " + ", ".join(f"`{name}`" for name in REWARD_NAMES)),
    ],
)
def test_an_unknown_field_has_a_near_one(path, hint):
    with pytest.raises(UsageError) as caught:
        explain_field(path)
    assert caught.value.hint == hint


def test_what_a_field_re_runs():
    assert re_runs("teacher.temperature") == ("distil",)
    assert re_runs("evaluate.unparsable", "report") == ()
    assert re_runs("name") == ()
