"""Keys: a change of any field re-runs exactly the stages that it is declared to touch, and what needs them."""

import json
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.keys import canonical_json, content_key, flatten
from c2f_spec.language.checks import check
from c2f_spec.language.field_help import every_field, re_runs
from c2f_spec.language.schema_errors import models_of_annotation
from c2f_spec.plan.code import SourceTree
from c2f_spec.plan.compile import compile_plan, load_environment
from c2f_spec.plan.keys import ExperimentSource, Pins, build_plan
from c2f_spec.plan.pins import needed_datasets
from c2f_spec.spec.base import DISCRIMINATORS, SpecModel
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.spec.evaluate import Decoding
from c2f_spec.spec.experiment import Experiment
from tests.conftest import load_spec

SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))
HERE_ENVIRONMENT = LocalEnvironment(c2f="v1", kind="local", store="store", demo=True)
CLASS_OF = {".".join(f.path): f.kind for f in every_field()}
PINS = Pins({name: content_key(name) for name in DATASETS})


def plan_of(experiment: Experiment):
    return build_plan([ExperimentSource(experiment, "")], PINS, HERE_ENVIRONMENT, "here")


def mutations(experiment: Experiment):
    """Every leaf with another valid value: (dotted path, changed experiment)."""
    for path, field, value in fields(experiment):
        for other in others(field.annotation, value):
            data = experiment.model_dump()
            inside = data
            for part in path[:-1]:
                inside = inside[part]
            inside[path[-1]] = other
            try:
                changed = Experiment.model_validate(data)
            except ValueError:
                continue
            yield ".".join(path), changed
            break


PIPELINE = (
    "c2f",
    "evaluate.checkpoints",
    "evaluate.datasets",
    "evaluate.import",
    "evaluate.baseline",
    "data.train",
    "format.kind",
)
"""Each names another pipeline, not another value."""
REQUIRED = {"k": 2, "max_rate": 0.5, "column": "note", "uri": "hard.txt", "digest": "0" * 64, "levels": (0.5, 1.0),
            "model": "a/b", "revision": "1" * 40, "endpoint": "https://example.org/v1"}  # fmt: skip
"""Of the members of unions, so that each can take the place of another."""


def fields(model: SpecModel, path: tuple[str, ...] = ()):
    """Every leaf, and every section that can be absent or of another kind: (path, field, value)."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if ".".join((*path, name)) in PIPELINE or name in DISCRIMINATORS:
            continue
        if not isinstance(value, SpecModel) or len(models_of_annotation(field.annotation)) > 1:
            yield (*path, name), field, value
        if isinstance(value, SpecModel):
            yield from fields(value, (*path, name))


def others(annotation, value):
    """Values of a field's type that are not `value`."""
    if get_origin(annotation) is Annotated:
        yield from others(get_args(annotation)[0], value)
    elif isinstance(value, SpecModel):
        for member in models_of_annotation(annotation):
            if type(value) is not member:
                given = {n: REQUIRED[n] for n, f in member.model_fields.items() if f.is_required()}
                named = {
                    d: get_args(member.model_fields[d].annotation)[0]
                    for d in DISCRIMINATORS
                    if d in member.model_fields
                }
                yield given | named
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (v for v in (value + 32, value * 0.5, value + 1, value * 0.75, 0.5) if v != value)
    elif isinstance(value, tuple):
        yield from ([], value[:1], get_args(get_args(annotation)[0])[:1])
    elif get_origin(annotation) is Literal:
        yield from (v for v in get_args(annotation) if v != value)
    elif isinstance(value, str):
        yield from (f"{value}x" if value else "x", "0" * 40)
    elif value is None:
        yield from (v for part in get_args(annotation) if (v := present(part)) is not None)


NEEDED = {"metric": "MAE", "direction": "lower", "min_effect": 0, "baseline": "x", "model": "judge"}


def present(annotation):
    """A value for a field that is absent."""
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(inner) is Literal:
        return get_args(inner)[0]
    if isinstance(inner, type) and issubclass(inner, SpecModel):
        return {n: NEEDED[n] for n, f in inner.model_fields.items() if f.is_required() and n in NEEDED}
    return {int: 5, float: 0.5, str: "x"}.get(inner)


def untrained_tiny(stage) -> bool:
    """Whose weights are drawn by the seed; released ones are the same under any."""
    return stage.label.startswith("evaluate base") and stage.preimage["spec"]["student"]["kind"] == "tiny"


def expected(path: str, plan) -> set[str]:
    """Labels of the stages that a change at `path` must re-key."""
    touched = re_runs(path, CLASS_OF.get(path, "identity"))
    hit = {
        s.key
        for s in plan.stages
        if s.kind in touched or ("evaluate of an untrained tiny student" in touched and untrained_tiny(s))
    }
    if path == "student":  # of another kind
        hit |= {s.key for s in plan.stages if s.kind == "filter" and "student" in s.preimage["spec"]}
    if path.startswith("data.limit."):
        split = path.rsplit(".", 1)[1]
        hit = {
            s.key
            for s in plan.stages
            if s.kind == "prepare" and split in DATASETS[s.preimage["spec"]["dataset"]].splits
        }
    if path == "data.render_seed":
        hit = {
            s.key
            for s in plan.stages
            if s.kind == "prepare" and DATASETS[s.preimage["spec"]["dataset"]].rendered
        }
    if (
        path == "data.own"
    ):  # keys what is prepared of it, and no shipped spec has one: tests/datasets/test_own.py
        hit = set()
    for stage in plan.stages:  # inputs come first, so one pass reaches everything below
        if hit & set(stage.inputs.values()):
            hit.add(stage.key)
    return {s.label for s in plan.stages if s.key in hit}


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_each_leaf_re_keys_exactly_the_stages_it_is_declared_to_touch(path):
    """What `c2f-spec explain` says of each field, held against the keys. Of a sweep the first variant."""
    experiment = load_spec(path).experiment
    before = plan_of(experiment)
    keys = {s.label: s.key for s in before.stages}
    seen = set()
    for where, changed in mutations(experiment):
        if any(p.severity == "error" for p in check(changed)):
            continue
        after = {s.label: s.key for s in plan_of(changed).stages}
        assert {label for label, key in keys.items() if after[label] != key} == expected(where, before), where
        seen.add(where)
    assert len(seen) > 45, "the walk went past most fields"
    new = {"tables", "hypothesis", "resources.evaluate", "checkpoints.every", "media.min_pixels"}
    assert all(any(path.startswith(p) for path in seen) for p in new), new - seen


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_a_new_field_keeps_the_keys_of_old_specs(path, golden):
    """What each stage is keyed by, code aside: a line that changes here runs that stage again for everyone."""
    stages = plan_of(load_spec(path).experiment).stages
    text = json.dumps({s.label: s.preimage["spec"] for s in stages}, indent=1, sort_keys=True)
    golden(f"keyed/{path.stem}.json", text + "\n")


def test_a_changed_threshold_named_by_auto_is_the_same_as_its_number():
    smoke = load_spec(SPECS[0].parent / "smoke.yaml").experiment
    number = smoke.model_dump()
    number["grpo"]["hint"]["trigger"]["threshold"] = 2.0
    assert keys_of(Experiment.model_validate(number)) == keys_of(smoke)


def test_a_default_written_out_is_the_same_as_left_out():
    smoke = load_spec(SPECS[0].parent / "smoke.yaml").experiment
    assert keys_of(Experiment.model_validate(smoke.model_dump())) == keys_of(smoke)


def test_released_weights_are_evaluated_once_whatever_the_seed():
    """One evaluation a model, data set and decoding; the seed counts where answers are sampled."""
    direct = load_spec(SPECS[0].parent / "sims_direct.yaml").experiment
    assert direct.evaluate
    sampled = direct.evaluate.model_copy(update={"decoding": Decoding(temperature=0.7)})
    for evaluate, evaluations in ((direct.evaluate, 1), (sampled, 2)):
        given = [
            ExperimentSource(direct.model_copy(update={"seed": s, "name": f"s{s}", "evaluate": evaluate}), "")
            for s in (42, 43)
        ]
        labels = [stage.label for stage in build_plan(given, PINS, HERE_ENVIRONMENT, "here").stages]
        assert labels.count("evaluate base on ch-sims") == evaluations


def test_seeds_share_everything_before_training():
    smoke = load_spec(SPECS[0].parent / "smoke.yaml").experiment
    sources = [
        ExperimentSource(smoke.model_copy(update={"seed": seed, "name": f"s{seed}"}), "")
        for seed in (42, 43, 44)
    ]
    plan = build_plan(sources, PINS, HERE_ENVIRONMENT, "here")
    counts = {
        kind: sum(s.kind == kind for s in plan.stages)
        for kind in ("prepare", "distil", "filter", "sft", "grpo")
    }
    assert counts == {"prepare": 1, "distil": 1, "filter": 1, "sft": 3, "grpo": 3}
    assert plan.totals()["instances"] == 3 * 8
    assert plan.stages[0].variants == ("s42", "s43", "s44")


def test_inputs_come_before_what_needs_them():
    plan = plan_of(load_spec(SPECS[0].parent / "demo.yaml").experiment)
    seen = set()
    for stage in plan.stages:
        assert set(stage.inputs.values()) <= seen
        seen.add(stage.key)


def test_a_preimage_holds_no_place():
    for path in SPECS:
        for stage in plan_of(load_spec(path).experiment).stages:
            assert str(Path.cwd()) not in canonical_json(stage.preimage)
            assert stage.key == content_key(stage.preimage)


def test_an_unstaged_data_set_is_named_with_the_way_to_stage_it(tmp_path):
    spec = tmp_path / "demo.yaml"  # without the lock that lies beside the shipped one
    spec.write_text((SPECS[0].parent / "demo.yaml").read_text())
    with pytest.raises(SpecErrors, match="c2f-spec data add icwsm2014-movie --fetch"):
        compile_plan([load_spec(spec)], {}, HERE_ENVIRONMENT, "here")


def test_two_staged_copies_are_not_guessed_between(tmp_path):
    spec = tmp_path / "smoke.yaml"
    spec.write_text((SPECS[0].parent / "smoke.yaml").read_text())
    staged = {"icwsm2014-movie": ["1" * 64, "2" * 64]}
    with pytest.raises(SpecErrors, match="2 copies .* 1111111111, 2222222222"):
        compile_plan([load_spec(spec)], staged, HERE_ENVIRONMENT, "here")
    (tmp_path / "c2f.lock").write_text(f"datasets:\n  icwsm2014-movie: {'2' * 64}\n")
    plan = compile_plan([load_spec(spec)], staged, HERE_ENVIRONMENT, "here")
    assert plan.stages[0].preimage["data"] == {"name": "icwsm2014-movie", "digest": "2" * 64}


def test_demo_parts_are_refused_where_they_are_not_welcome():
    loaded = load_spec(SPECS[0].parent / "demo.yaml")
    strict = HERE_ENVIRONMENT.model_copy(update={"demo": False})
    with pytest.raises(SpecErrors) as caught:
        compile_plan([loaded], {n: ["0" * 64] for n in needed_datasets(loaded.experiment)}, strict, "strict")
    assert len(caught.value.diagnostics) == 6  # four data sets, the student, the teacher


def test_shipped_environments_are_valid():
    root = SPECS[0].parent.parent
    assert load_environment("local", root, None).kind == "local"
    assert load_environment("a800", root, None).kind == "kubernetes"


def keys_of(experiment: Experiment) -> list[str]:
    return [s.key for s in plan_of(experiment).stages]


# ---- keys

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.randoms())
def test_a_key_does_not_depend_on_the_order_of_a_map(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert content_key(dict(items)) == content_key(value)


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object(), Path("x")])
def test_what_has_no_stable_text_has_no_key(value):
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


def test_leaves_are_named_by_their_path():
    assert flatten({"a": {"b": 1, "c": []}, "d": None}) == {"a.b": 1, "a.c": [], "d": None}


# ---- code digests


@pytest.fixture
def source_tree(tmp_path):
    """A runtime of our own making, so that its files can be edited."""
    for folder in ("stages", "rewards"):
        (tmp_path / "runtime" / folder).mkdir(parents=True)
    files = {
        "stages/grpo.py": "from runtime.rewards import REWARDS\nfrom runtime.shared import half\n",
        "rewards/__init__.py": "from runtime.rewards import score, other\nREWARDS = {'score': score, 'other': other}\n",
        "rewards/score.py": "def reward(x):\n    return x\n",
        "rewards/other.py": "def reward(x):\n    return -x\n",
        "shared.py": "def half(x):\n    return x / 2\n",
    }
    for name, text in files.items():
        (tmp_path / "runtime" / name).write_text(text)
    return tmp_path / "runtime"


@pytest.fixture
def digests(source_tree):
    def read(edit=None):
        if edit:
            path, text = edit
            path.write_text(text)
        return SourceTree(root=source_tree.parent).digests("grpo", {"rewards": ("score",)})

    return read


def test_code_is_followed_through_imports_and_families_only_where_named(digests):
    assert sorted(digests()) == ["runtime/rewards/score.py", "runtime/shared.py", "runtime/stages/grpo.py"]


def test_comments_docstrings_and_formatting_are_not_code(source_tree, digests):
    before = digests()
    assert (
        digests(
            (
                source_tree / "shared.py",
                '"""Halves."""\n\ndef half(\n    x,\n):  # of it\n    """A half."""\n    return (x / 2)\n',
            )
        )
        == before
    )


def test_an_edited_reward_re_keys_what_names_it_and_adding_one_does_not(source_tree, digests):
    before = digests()
    (source_tree / "rewards" / "third.py").write_text("x = 1\n")
    registry = source_tree / "rewards" / "__init__.py"
    assert digests((registry, registry.read_text() + "from runtime.rewards import third\n")) == before
    after = digests((source_tree / "rewards" / "score.py", "def reward(x):\n    return x + 1\n"))
    assert [name for name in after if after[name] != before[name]] == ["runtime/rewards/score.py"]


def test_accepted_code_keeps_the_keys_of_what_it_computes_the_same_as(source_tree):
    smoke = load_spec(SPECS[0].parent / "smoke.yaml").experiment

    def keyed(accepted=()):
        pins = Pins(PINS.datasets, accepted=dict(accepted))
        plan = build_plan(
            [ExperimentSource(smoke, "")],
            pins,
            HERE_ENVIRONMENT,
            "here",
            code=SourceTree(root=source_tree.parent),
        )
        return plan, next(s for s in plan.stages if s.kind == "grpo")

    _, before = keyed()
    (source_tree / "shared.py").write_text("def half(x):\n    return 0.5 * x\n")
    _, after = keyed()
    old, new = (s.preimage["code"]["runtime/shared.py"] for s in (before, after))
    assert after.key != before.key
    plan, accepted = keyed({new: old, "1" * 16: "2" * 16})
    assert accepted.key == before.key
    assert plan.lock["accept"] == {new: old}
    assert keyed({new: old, old: new})[1].key == before.key, "a circle ends"
