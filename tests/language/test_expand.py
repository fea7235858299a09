"""Inheritance, templates, sweeps and `--set`: what they mean, what they refuse, and that every value knows its line."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c2f_spec.cli.main import main
from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.language.document import load_document
from c2f_spec.language.expansion import expand
from c2f_spec.language.inherit import MAX_DEPTH, MAX_FILES
from c2f_spec.language.parse import parse
from c2f_spec.language.tree import Tree, locations, merge, tree_from
from c2f_spec.language.variant_names import label
from c2f_spec.language.yaml_writer import render_spec, value_origins
from c2f_spec.plan.compile import load_variants, warnings_of
from c2f_spec.plan.keys import ExperimentSource, Pins, build_plan
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.environment import LocalEnvironment
from tests.conftest import load_spec
from tests.support.faults import ENVIRONMENT

HERE = Path(__file__).parents[1]
WRONG = HERE / "bad" / "expand"
SPECS = HERE.parent / "specs"
PLACE = LocalEnvironment(c2f="v1", kind="local", store="store", demo=True)
PINS = Pins(dict.fromkeys(DATASETS, "0" * 64))
GOOD = (WRONG / "bases" / "good.yaml").read_text()
TEMPLATE = (WRONG / "bases" / "template.yaml").read_text()


@pytest.mark.parametrize("path", sorted(WRONG.glob("*.yaml")), ids=lambda p: p.stem)
def test_what_is_wrong_is_explained(path, golden, monkeypatch):
    monkeypatch.chdir(WRONG)
    with pytest.raises(SpecErrors) as caught:
        load_variants(Path(path.name))
    golden(f"bad/expand/{path.stem}.txt", f"{caught.value}\n")


@pytest.fixture
def specs(tmp_path, monkeypatch):
    """`specs(name, text)` writes a file into an empty repository with `good.yaml` and `template.yaml`."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    write("good.yaml", GOOD)
    write("template.yaml", TEMPLATE)
    return write


def variants(path: Path, *given: str):
    return {item.experiment.name: item.experiment for item in load_variants(path, given)}


def messages(path: Path, *given: str) -> str:
    with pytest.raises(SpecErrors) as caught:
        load_variants(path, given)
    return str(caught.value)


# ---- extends


def test_maps_merge_lists_replace_and_null_removes(specs):
    path = specs(
        "x.yaml",
        "extends: good.yaml\nname: x\ngrpo: null\nsft: {steps: 3}\nevaluate: {checkpoints: [sft], datasets: [icwsm2014-nyt]}\n",
    )
    e = load_spec(path).experiment
    assert e.grpo is None
    assert (e.sft.steps, e.sft.learning_rate) == (3, 1e-3)
    assert e.evaluate.datasets == ("icwsm2014-nyt",)


def test_later_bases_are_laid_on_earlier_ones_and_the_file_on_all(specs):
    specs("more.yaml", "seed: 1\ngrpo: {beta: 0.5, epsilon: 0.3}\n")
    e = load_spec(
        specs("x.yaml", "extends: [good.yaml, more.yaml]\nname: x\ngrpo: {epsilon: 0.4}\n")
    ).experiment
    assert (e.seed, e.grpo.beta, e.grpo.epsilon) == (1, 0.5, 0.4)


def test_fields_of_one_kind_do_not_leak_into_another(specs):
    e = load_spec(specs("x.yaml", "extends: good.yaml\nname: x\ngrpo: {tuner: {kind: full}}\n")).experiment
    assert e.grpo.tuner.kind == "full"
    e = load_spec(specs("x.yaml", "extends: good.yaml\nname: x\nstudent: {hidden: 128}\n")).experiment
    assert (e.student.kind, e.student.hidden) == ("tiny", 128)


def test_files_are_found_from_the_file_that_names_them(specs):
    specs("deep/er/base.yaml", "extends: ../../good.yaml\nseed: 7\n")
    assert load_spec(specs("deep/x.yaml", "extends: er/base.yaml\nname: x\n")).experiment.seed == 7


def test_a_base_is_named_relative_to_its_spec(specs, tmp_path):
    path = specs("x.yaml", f"extends: {tmp_path}/good.yaml\nname: x\n")
    assert "is not allowed" in messages(path)


def test_a_link_does_not_lead_out_of_the_repository(specs, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.yaml"
    outside.write_text(GOOD)
    Path("link.yaml").symlink_to(outside)
    assert "is outside of the repository" in messages(specs("x.yaml", "extends: link.yaml\nname: x\n"))


def test_a_chain_of_files_has_an_end(specs):
    specs("b0.yaml", GOOD)
    for i in range(1, MAX_DEPTH + 1):
        specs(f"b{i}.yaml", f"extends: b{i - 1}.yaml\n")
    assert load_spec(specs("x.yaml", f"extends: b{MAX_DEPTH - 1}.yaml\nname: x\n"))
    assert "more than 16 files" in messages(specs("x.yaml", f"extends: b{MAX_DEPTH}.yaml\nname: x\n"))


def test_a_lattice_of_files_costs_as_much_as_its_files(specs):
    specs("a0.yaml", GOOD)
    specs("b0.yaml", GOOD)
    for i in range(1, 15):
        for name in "ab":
            specs(f"{name}{i}.yaml", f"extends: [a{i - 1}.yaml, b{i - 1}.yaml]\n")
    start = time.process_time()
    assert load_spec(specs("x.yaml", "extends: [a14.yaml, b14.yaml]\nname: x\n"))
    assert time.process_time() - start < 2


def test_a_spec_builds_on_few_files(specs):
    for i in range(MAX_FILES + 1):
        specs(f"b{i}.yaml", "seed: 1\n")
    names = ", ".join(f"b{i}.yaml" for i in range(MAX_FILES + 1))
    assert "at most 64" in messages(specs("x.yaml", f"extends: [{names}]\n"))
    half = ", ".join(f"b{i}.yaml" for i in range(40))
    specs("half.yaml", f"extends: [{half}]\n")
    rest = ", ".join(f"b{i}.yaml" for i in range(40, MAX_FILES + 1))
    assert "at most 64" in messages(specs("x.yaml", f"extends: [half.yaml, {rest}]\n"))


# ---- templates


def test_a_template_is_given_its_values(specs):
    path = specs("x.yaml", "template: template.yaml\nwith: {train: ch-sims, steps: 3, greedy: no}\nname: x\n")
    path.write_text(path.read_text() + "evaluate: {baseline: none}\n")
    e = load_spec(path).experiment
    assert (e.data.train, e.sft.steps, e.sft.learning_rate, e.name) == ("ch-sims", 3, 1e-3, "x")


def test_a_template_can_fill_another(specs):
    specs(
        "outer.yaml",
        "params:\n  n: {kind: int, default: 2}\n"
        "template: template.yaml\nwith:\n  train: icwsm2014-movie\n  steps: ${params.n}\nevaluate: {baseline: none}\nseed: ${params.n}\n",
    )
    e = load_spec(specs("x.yaml", "template: outer.yaml\nname: x\nwith: {n: 5}\n")).experiment
    assert (e.sft.steps, e.seed) == (5, 5)
    found = variants(specs("y.yaml", "template: outer.yaml\nname: y\nsweep: {matrix: {params.n: [6, 7]}}\n"))
    assert [(e.sft.steps, e.seed) for e in found.values()] == [(6, 6), (7, 7)]


def test_a_parameter_without_a_value_may_be_swept_or_set(specs):
    text = "template: template.yaml\nname: x\nwith: {train: icwsm2014-movie}\nevaluate: {baseline: none}\n"
    assert "missing value of parameter `steps`" in messages(specs("x.yaml", text))
    assert load_spec(Path("x.yaml"), ["params.steps=4"]).experiment.sft.steps == 4
    swept = specs("y.yaml", text + "sweep: {matrix: {params.steps: [1, 2]}}\n")
    assert [e.sft.steps for e in variants(swept).values()] == [1, 2]


def test_a_parameter_drives_several_fields_and_items_of_lists(specs):
    specs(
        "t.yaml",
        "params:\n  where: {kind: str}\nextends: good.yaml\ndata: {train: '${params.where}'}\n"
        "evaluate: {datasets: ['${params.where}', icwsm2014-nyt]}\n",
    )
    path = specs(
        "x.yaml",
        "template: t.yaml\nname: x\nsweep: {matrix: {params.where: [icwsm2014-movie, ch-sims]}}\n",
    )
    found = [(e.data.train, e.evaluate.datasets[0]) for e in variants(path).values()]
    assert found == [("icwsm2014-movie",) * 2, ("ch-sims",) * 2]


# ---- sweeps


def names_of(specs, sweep: str, extra: str = "") -> list[str]:
    return list(variants(specs("s.yaml", f"extends: good.yaml\nname: s\n{extra}sweep: {sweep}\n")))


def test_the_last_axis_is_the_fastest_and_zip_is_one_axis(specs):
    assert names_of(specs, "{matrix: {grpo.beta: [0.1, 0.2], seed: [1, 2]}}") == [
        "s-beta-0p1-seed-1", "s-beta-0p1-seed-2", "s-beta-0p2-seed-1", "s-beta-0p2-seed-2",
    ]  # fmt: skip
    assert names_of(specs, "{matrix: {seed: [1, 2]}, zip: {grpo.beta: [0.1, 0.2], sft.batch: [8, 16]}}") == [
        "s-seed-1-beta-0p1-batch-8", "s-seed-1-beta-0p2-batch-16",
        "s-seed-2-beta-0p1-batch-8", "s-seed-2-beta-0p2-batch-16",
    ]  # fmt: skip


def test_points_are_excluded_and_included(specs):
    sweep = "{matrix: {grpo.beta: [0.1, 0.2], seed: [1, 2]}, exclude: [{grpo.beta: 0.10, seed: 2}], include: [{seed: 9}]}"
    assert names_of(specs, sweep) == [
        "s-beta-0p1-seed-1",
        "s-beta-0p2-seed-1",
        "s-beta-0p2-seed-2",
        "s-seed-9",
    ]


def test_ablations_come_with_their_base_and_seeds_repeat_everything(specs):
    sweep = "{ablate: {grpo.beta: [0.2]}, variants: {no-rl: {grpo: null, evaluate.checkpoints: [sft]}}, seeds: [1, 2]}"
    assert names_of(specs, sweep) == [
        "s-base-s1", "s-base-s2", "s-beta-0p2-s1", "s-beta-0p2-s2", "s-no-rl-s1", "s-no-rl-s2",
    ]  # fmt: skip


def test_seeds_alone_are_a_sweep_and_share_what_does_not_read_them(specs):
    loaded = load_variants(specs("s.yaml", "extends: good.yaml\nname: s\nsweep: {seeds: [1, 2, 3]}\n"))
    kinds = [s.kind for s in plan_of(loaded).stages]
    assert {k: kinds.count(k) for k in ("prepare", "distil", "filter", "sft")} == {
        "prepare": 1, "distil": 1, "filter": 1, "sft": 3,
    }  # fmt: skip
    assert plan_of(loaded).name == "s"


def test_names_grow_shorter_before_they_are_cut(specs):
    long = (
        "{matrix: {sft.learning_rate: [1e-3], grpo.learning_rate: [1e-4, 1e-5], grpo.max_new_tokens: [100]}}"
    )
    assert names_of(specs, long) == [
        "s-sft-lr-1e-3-grpo-lr-1e-4-mnt-100",
        "s-sft-lr-1e-3-grpo-lr-1e-5-mnt-100",
    ]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("0.1", "0p1"),
        ("-1", "m1"),
        ("1e-5", "1e-5"),
        ("a_b/C", "a-b-c"),
        (None, "none"),
        (["a", "0.5"], "a-0p5"),
        ("", "empty"),
    ],
)
def test_a_value_is_a_word_of_a_name(value, word):
    assert label(value) == word


def test_variants_share_the_sections_that_they_do_not_change(specs):
    loaded = load_variants(
        specs(
            "s.yaml",
            "extends: good.yaml\nname: s\nsweep: {matrix: {grpo.beta: [1, 2], sft.batch: [8, 16]}}\n",
        )
    )
    sections = {
        name: {id(getattr(i.experiment, name)) for i in loaded} for name in ("data", "sft", "grpo", "filters")
    }
    assert {name: len(found) for name, found in sections.items()} == {
        "data": 1,
        "sft": 2,
        "grpo": 2,
        "filters": 1,
    }


def test_a_finding_of_all_variants_is_told_once_and_of_some_counted(specs):
    text = messages(
        specs("s.yaml", "extends: good.yaml\nname: s\nsed: 1\nsweep: {matrix: {grpo.beta: [1, x, 3]}}\n")
    )
    assert text.count("unknown field `sed`") == 1
    assert "in 1 of 3 variants: s-beta-x" in text
    loaded = load_variants(
        specs(
            "w.yaml",
            "extends: good.yaml\nname: w\ndata: {train: ch-sims}\nevaluate: {datasets: [ch-sims-v2]}\nsweep: {seeds: [1, 2]}\n",
        )
    )
    assert len(warnings_of(loaded)) == 1


def test_a_parameter_can_name_the_variants(specs):
    specs("t.yaml", "params:\n  n: {kind: str, default: a}\nextends: good.yaml\nname: ${params.n}\n")
    assert list(variants(specs("x.yaml", "template: t.yaml\nsweep: {matrix: {params.n: [b, c]}}\n"))) == [
        "b-n-b",
        "c-n-c",
    ]


# ---- --set


def test_set_reaches_everything(specs):
    path = specs("x.yaml", "extends: good.yaml\nname: x\n")
    e = load_spec(
        path,
        [
            "grpo.hint.hard_policy=keep",
            "filters={score_tolerance: {}}",
            "seed=7",
            "evaluate.datasets=[icwsm2014-nyt]",
        ],
    ).experiment
    assert (e.grpo.hint.hard_policy, e.seed, e.evaluate.datasets) == ("keep", 7, ("icwsm2014-nyt",))
    assert e.filters.polarity_match is not None
    assert e.filters.score_tolerance is not None
    assert list(variants(path, "sweep.seeds=[1, 2]")) == ["x-s1", "x-s2"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("grpo.bta=1", "--set #1:1:1: unknown field `bta`"),
        ("grpo.beta=x", "--set #1:1:11: `beta` must be a number, not `x`"),
        ("grpo.beta=[1", "--set #1:1:13: invalid YAML"),
        ("grpo.beta", "missing `=`"),
        ("grpo.beta=", "missing value"),
        ("=1", "invalid path"),
        ("grpo..beta=1", "invalid path"),
        ("a." * 30 + "b=1", "invalid path"),
        ("evaluate.datasets.0=x", "cannot set an item of the list `evaluate.datasets`"),
        ("params.x=1", "unknown parameter `x`"),
        ("extends=x.yaml", "it is read before `--set`"),
        ("description=*a", "YAML alias"),
    ],
)  # fmt: skip
def test_a_wrong_set_is_told_at_its_place(specs, setting, says):
    assert says in messages(specs("x.yaml", "extends: good.yaml\nname: x\n"), setting)


def test_set_does_not_fight_the_sweep(specs):
    path = specs("x.yaml", "extends: good.yaml\nname: x\nsweep: {matrix: {grpo.beta: [1, 2]}}\n")
    assert "conflicts with the sweep, which sets `grpo.beta`" in messages(path, "grpo.beta=3")
    assert "conflicts with the sweep, which sets `grpo.beta`" in messages(path, "grpo={beta: 3}")
    assert list(variants(path, "sweep=null", "grpo.beta=3")) == ["x"]


# ---- origins


def test_every_value_tells_its_line_through_all_of_it(specs):
    path = specs(
        "x.yaml",
        "template: template.yaml\nname: x\nwith: {train: icwsm2014-movie, steps: 2}\nevaluate: {baseline: none}\n"
        "sweep: {matrix: {grpo.beta: [0.3]}}\n",
    )
    variant = expand(load_document(path.read_bytes(), "x.yaml"), path, ["seed=9"]).variants[0]
    where = {name: place for name, _, place in value_origins(variant.document)}
    assert where["data.train"] == "x.yaml:3:15"
    assert where["sft.learning_rate"] == "template.yaml:4:32"
    assert where["student"] == "good.yaml:4:10"
    assert where["grpo.beta"] == "x.yaml:5:30"
    assert where["seed"] == "--set #1:1:6"
    assert set(where) == {
        ".".join(map(str, loc)) for loc in locations(variant.document.data) if not_a_container(variant, loc)
    }
    assert variant.document.notes(("grpo", "beta")) == (
        "set by sweep axis `grpo.beta` at x.yaml:5:18",
        "replaces good.yaml:8:14",
    )
    assert variant.document.notes(("data", "train")) == ("used as `${params.train}` at template.yaml:8:15",)
    assert variant.document.notes(("student",)) == (
        "inherited by template.yaml:6",
        "instantiated by x.yaml:1",
    )


def not_a_container(variant, loc) -> bool:
    value = variant.document.data
    for part in loc:
        value = value[part]
    return not value or not isinstance(value, (dict, list))


# ---- what is printed means the same


def plan_of(loaded):
    return build_plan(
        [ExperimentSource(i.experiment, i.source) for i in loaded], PINS, PLACE, "here", [loaded[0].spec]
    )


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_printed_variant_has_the_same_keys(path):
    loaded = load_variants(path)
    for item, variant in zip(loaded, plan_of(loaded).variants, strict=True):
        again, _ = parse(load_document(item.source.encode(), "printed.yaml"))
        assert again == item.experiment
        assert (
            build_plan([ExperimentSource(again, "")], PINS, PLACE, "here").variants[0].stages
            == variant.stages
        )


ODD_KEYS_OUT = st.text(min_size=1, max_size=6).filter(
    lambda t: t.isascii() and t.isprintable() and t == t.strip() and t != "<<"
)
"""Keys that the language takes: the others have messages of their own."""
PLAIN = st.recursive(
    st.none() | st.text(max_size=12).filter(lambda t: t.encode("utf-8", "replace").decode() == t),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_KEYS_OUT, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(ODD_KEYS_OUT, PLAIN, min_size=1, max_size=4))
def test_what_is_emitted_reads_back(data):
    assert load_document(render_spec(data).encode(), "x").data == data


# ---- laws of merging

LEAF = st.sampled_from(["1", "2", None, ["a"], ["a", "b"]])


def shaped(depth: int):
    """Maps in which a name is always a map or always a leaf, as fields of a schema are."""
    inner = {f"leaf{i}": LEAF for i in range(2)}
    if depth:
        inner |= {f"map{i}": shaped(depth - 1) for i in range(2)}
    return st.fixed_dictionaries({}, optional=inner)


def tree(data) -> Tree:
    return tree_from(load_document((render_spec(data) or "{}\n").encode(), "x"))


@given(shaped(2))
def test_merging_nothing_changes_nothing(data):
    for merged in (merge(tree(data), tree({})), merge(tree({}), tree(data))):
        assert merged.data == data
        assert set(merged.values) == set(tree(data).values)


@given(shaped(2), shaped(2), shaped(2))
def test_it_does_not_matter_which_of_three_are_merged_first(a, b, c):
    left = merge(merge(tree(a), tree(b)), tree(c))
    right = merge(tree(a), merge(tree(b), tree(c)))
    assert left.data == right.data
    assert left.keys == right.keys
    assert set(left.values) == set(locations(left.data))


@given(PLAIN, PLAIN)
def test_whatever_is_merged_every_value_has_a_place(a, b):
    merged = merge(tree({"x": a}), tree({"x": b}))
    assert set(merged.values) == set(locations(merged.data))
    if not isinstance(b, dict):
        assert merged.data == {"x": b}


def test_merging_leaves_its_parts_alone():
    base, over = tree({"a": {"b": "1"}}), tree({"a": {"c": "2"}})
    merge(base, over)
    assert (base.data, over.data) == ({"a": {"b": "1"}}, {"a": {"c": "2"}})


# ---- hostile input


@pytest.mark.parametrize(
    "sweep",
    [
        "matrix: {" + ", ".join(f"a{i}: [1, 2, 3, 4]" for i in range(90)) + "}",
        "matrix: {" + ", ".join(f"a{i}: [1, 2]" for i in range(2000)) + "}",
        "matrix: {seed: [" + ", ".join(map(str, range(9000))) + "]}",
        "seeds: [" + ", ".join(map(str, range(9000))) + "]",
        "matrix: {seed: [" + ", ".join(map(str, range(100))) + "]}, exclude: [" + ", ".join("{seed: 1000}" for _ in range(2000)) + "]",
    ],
    ids=["deep", "wide", "long", "seeds", "excludes"],
)  # fmt: skip
def test_a_hostile_sweep_is_refused_before_it_is_built(specs, sweep):
    path = specs("x.yaml", f"extends: good.yaml\nname: x\nsweep: {{{sweep}}}\n")
    document = load_document(path.read_bytes(), "x.yaml")
    start = time.process_time()
    with pytest.raises(SpecErrors):
        expand(document, path)
    assert time.process_time() - start < 1


def test_many_parameters_are_replaced_in_one_pass(specs):
    names = [f"p{i}" for i in range(300)]
    declared = "".join(f"  {n}: {{kind: str, default: x}}\n" for n in names)
    used = "".join(f"  - ${{params.{n}}}\n" for n in names * 10)
    path = specs("x.yaml", f"params:\n{declared}name: x\nlist:\n{used}")
    document = load_document(path.read_bytes(), "x.yaml")
    start = time.process_time()
    assert expand(document, path).variants[0].document.data["list"] == ["x"] * 3000
    assert time.process_time() - start < 1


WORD = st.sampled_from(
    ["good.yaml", "template.yaml", ".", "1", "0.1", "x", "${params.a}", "a${params.a}", "params.a", "grpo.beta", "seed", "int", "choice", "", "name"]
)  # fmt: skip
KEY = st.sampled_from(
    ["a", "kind", "default", "min", "max", "choices", "matrix", "zip", "include", "exclude", "variants", "ablate", "seeds",
     "max_variants", "grpo.beta", "grpo", "params.a", "evaluate.datasets", "evaluate.datasets.x", "seed", "train", "steps", "name", ""]
)  # fmt: skip
ANY = st.recursive(
    st.none() | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=14,
)
LANGUAGE = st.fixed_dictionaries(
    {"sweep": st.dictionaries(KEY, ANY, max_size=4)},
    optional={
        "extends": ANY, "template": WORD, "with": st.dictionaries(KEY, WORD, max_size=3) | ANY, "name": ANY, "grpo": ANY,
        "params": st.dictionaries(KEY, st.dictionaries(KEY, WORD, max_size=4), max_size=2) | ANY,
    },
)  # fmt: skip


@given(LANGUAGE, st.lists(st.tuples(KEY, WORD), max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_whatever_is_written_is_expanded_or_told(specs, data, given_):
    document = load_document(render_spec(data).encode(), "x.yaml")
    try:
        found = expand(document, Path("x.yaml"), [f"{path}={value}" for path, value in given_])
    except SpecErrors as error:
        assert error.diagnostics
        assert str(error)
        return
    for variant in found.variants:
        assert set(variant.document.values) - {()} == set(locations(variant.document.data)) - {()}


# ---- the command


@pytest.fixture
def command(repository, capsys):
    """Run the command in this process: `command("expand", "specs/x.yaml", code=0)` → its answer, or its complaint."""

    def run(*argv: str, code: int = 0) -> str:
        assert main(argv) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return run


def test_expand_lists_prints_and_writes(command, repository):
    (repository / "specs" / "good.yaml").write_text(GOOD)
    spec = "specs/x.yaml"
    (repository / spec).write_text("extends: good.yaml\nname: x\nsweep: {matrix: {grpo.beta: [0.1, 0.2]}}\n")
    assert command("expand", spec).splitlines()[1] == "x-beta-0p1  grpo.beta=0.1"
    assert "  beta: 0.2\n" in command("expand", spec, "--variant", "x-beta-0p2", "-o", "yaml")
    assert "specs/x.yaml:3:35" in command("expand", spec, "--variant", "x-beta-0p2", "--show-origin")
    assert "did you mean `x-beta-0p2`?" in command("expand", spec, "--variant", "x-beta-0p22", code=64)

    out = ("--out-dir", "specs/generated")
    assert "missing" in command("expand", spec, *out, "--check", code=4)
    assert command("expand", spec, *out).count("wrote") == 2
    command("expand", spec, *out, "--check")
    (repository / "specs" / "generated" / "mine.yaml").write_text(GOOD)
    command("expand", spec, *out, "--set", "seed=3", "--check", code=4)
    (repository / spec).write_text("extends: good.yaml\nname: x\nsweep: {matrix: {grpo.beta: [0.1, 0.3]}}\n")
    assert "no longer a variant" in command("expand", spec, *out, "--check", code=4)
    done = command("expand", spec, *out)
    assert "removed specs/generated/x-beta-0p2.yaml" in done
    assert sorted(p.name for p in (repository / "specs" / "generated").iterdir()) == [
        "mine.yaml", "x-beta-0p1.yaml", "x-beta-0p3.yaml",
    ]  # fmt: skip
    assert "valid" in command("validate", "specs/generated/x-beta-0p3.yaml")


def test_a_written_variant_is_pinned_like_its_spec(command, repository):
    (repository / "specs" / "generated").mkdir()
    (repository / "specs" / "generated" / "good.yaml").write_text(GOOD)
    (repository / "specs" / "c2f.lock").write_text(f"datasets:\n  icwsm2014-movie: {'0' * 64}\n")
    planned = command("plan", "specs/generated/good.yaml", "--offline", "-o", "json")
    assert json.loads(planned)["stages"][0]["preimage"]["data"]["digest"] == "0" * 64


def test_a_sweep_is_planned_offline_and_named_as_a_whole(command, repository):
    (repository / "specs" / "good.yaml").write_text(GOOD)
    (repository / "specs" / "x.yaml").write_text("extends: good.yaml\nname: x\nsweep: {seeds: [1, 2]}\n")
    assert command("validate", "specs/x.yaml") == "specs/x.yaml: valid, 2 variants\n"
    planned = command("plan", "specs/x.yaml", "--offline")
    assert planned.splitlines()[-1].startswith("x on local: 2 variants, 14 instances, 11 unique")
    assert planned.count("? unknown") == 11
    states = [
        row.split()[0] for row in command("status", "specs/x.yaml", "--set", "sweep=null").splitlines()[1:]
    ]
    assert states == ["ready", *["waiting-input"] * 6]
    refused = ("--set", "grpo.hint.placement=in_prompt")
    assert "in 2 of" not in command("apply", "specs/x.yaml", *refused, code=3)
    assert command("report", "specs/x.yaml").strip().endswith("reports/x/report.html")


def test_a_variant_cannot_choose_where_it_is_written(command, repository):
    (repository / "specs" / "x.yaml").write_text("c2f: v1\nname: ../../x\n")
    assert "cannot be the name of a file" in command("expand", "specs/x.yaml", "--out-dir", "out", code=64)


def test_a_sweep_is_applied_sharing_what_its_variants_share(c2f, repository, tiny_spec):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    (repository / "specs" / "s.yaml").write_text(
        "extends: tiny.yaml\nname: s\nsweep: {matrix: {filters.score_tolerance.max_fraction: [0.2, 0.4]}}\n"
    )
    place = ("--environments", ".")
    done = c2f("apply", "specs/s.yaml", *place).stdout
    assert "2 variants, 6 instances" in done
    assert done.count("started") == 4
    assert (repository / ".c2f" / "store" / "reports" / "s" / "report.html").is_file()
    assert c2f("status", "specs/s.yaml", *place).stdout.count("done") == 4
    assert "s-max-fraction-0p4" in (repository / ".c2f" / "store" / "reports" / "s" / "report.md").read_text()
