"""Files that were made elsewhere: their own keys, their own word in the lock, and what they spare."""

import json
import re
import shutil
import struct

import pytest

from c2f_spec.cli.adopt import check_chains, check_checkpoint
from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.errors import UsageError
from c2f_spec.language.document import load_document
from c2f_spec.language.lock_file import Adoption, Lock, parse_lock, read_lock, write_adoption
from c2f_spec.plan.adopted import with_adopted
from c2f_spec.plan.keys import ExperimentSource, Pins, build_plan
from tests.conftest import REPOSITORY, TINY_SPEC, load_spec
from tests.plan.test_plan import HERE_ENVIRONMENT, PINS
from tests.support.faults import ENVIRONMENT

DIGEST, OTHER = "1" * 64, "2" * 64
PLACE = ("--environments", ".")


def planned(adopted=None, **settings):
    given = [f"{path}={value}" for path, value in settings.items()]
    experiment = load_spec(REPOSITORY / "specs" / "demo.yaml", given).experiment
    pins = Pins(PINS.datasets, adopted=adopted or {})
    return build_plan([ExperimentSource(experiment, "", pins=pins)], PINS, HERE_ENVIRONMENT, "here")


def of(plan, label):
    return next(s for s in plan.stages if s.label.startswith(label))


def test_an_adopted_stage_has_a_key_of_its_files_and_spares_what_it_would_have_read():
    before = planned()
    sft = of(before, "supervised")
    after = planned({sft.key: DIGEST})
    adopted = of(after, "supervised")
    assert adopted.label == "supervised fine-tuning (adopted)"
    assert adopted.inputs == {}
    assert adopted.preimage == {"stage": "sft", "spec": sft.preimage["spec"], "adopted": DIGEST}
    assert {s.kind for s in before.stages} - {s.kind for s in after.stages} == {"distil", "filter"}
    assert of(after, "prepare icwsm2014-movie").key == of(before, "prepare icwsm2014-movie").key
    assert of(after, "evaluate base on icwsm2014-nyt").key == of(before, "evaluate base on icwsm2014-nyt").key
    for label in ("reinforcement", "evaluate sft on icwsm2014-nyt", "evaluate grpo on icwsm2014-nyt"):
        assert of(after, label).key != of(before, label).key
    assert of(after, "reinforcement").inputs["start"] == adopted.key
    assert of(planned({sft.key: OTHER}), "supervised").key != adopted.key


def test_when_the_spec_changes_the_entry_no_longer_fits():
    sft = of(planned(), "supervised")
    changed = planned({sft.key: DIGEST}, **{"sft.epochs": "5"})
    assert "adopted" not in of(changed, "supervised").preimage
    assert of(changed, "distil")


def test_a_stage_after_an_adopted_one_can_be_adopted_too():
    sft = of(planned(), "supervised")
    grpo = of(planned({sft.key: DIGEST}), "reinforcement")
    both = planned({sft.key: DIGEST, grpo.key: OTHER})
    assert "adopted" in of(both, "reinforcement").preimage
    assert of(both, "evaluate grpo on icwsm2014-nyt").inputs["model"] == of(both, "reinforcement").key


def test_without_an_entry_the_stages_are_the_same():
    stages = planned().stages
    assert with_adopted(stages, {}) == list(stages)
    assert with_adopted(stages, {DIGEST: OTHER}) == list(stages)


# ---- the lock


def test_entries_are_written_beside_what_stands_there(tmp_path):
    path = tmp_path / "c2f.lock"
    path.write_text(
        "c2f: v1\n# ours\naccept:\n- {old: 0123456789abcdef, new: fedcba9876543210, by: a, why: b}\n"
    )
    first = Adoption(DIGEST, OTHER, 'Mei "M" 李', "trained: in 2024 # by hand")
    second = Adoption("3" * 64, OTHER, "a", "b")
    for entry in (first, second, first._replace(why="again")):
        write_adoption(path, entry)
    lock = read_lock(path)
    assert sorted(lock.adopted) == sorted([first._replace(why="again"), second])
    assert path.read_text().startswith("c2f: v1\n# ours\naccept:\n- {old: 0123")
    assert path.read_text().count("adopted:") == 1
    write_adoption(tmp_path / "new.lock", first)
    assert read_lock(tmp_path / "new.lock") == Lock(adopted=(first,))


def test_one_stage_has_one_adoption():
    entry = f"  - {{stage: {DIGEST}, files: {OTHER}, by: a, why: b}}\n"
    with pytest.raises(SpecErrors, match="C2F406"):
        parse_lock(load_document(f"c2f: v1\nadopted:\n{entry}{entry}".encode(), "c2f.lock"))


# ---- the verb


def tensors(path, cut=0):
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    path.write_bytes((struct.pack("<Q", len(header)) + header + b"12345678")[: None if not cut else -cut])


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    tensors(folder / "model.safetensors")
    return folder


@pytest.fixture
def spec(repository):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    path = repository / "specs" / "tiny.yaml"
    path.write_text(TINY_SPEC + "sft: {steps: 1}\n")
    return path


def actions(c2f):
    stages = json.loads(c2f("plan", "specs/tiny.yaml", "-o", "json", *PLACE).stdout)["stages"]
    return {s["kind"]: s["action"] for s in stages}


def test_a_checkpoint_stands_for_its_stage(c2f, repository, spec, checkpoint):
    why = ("--why", "trained: last year", "--by", "Mei")
    done = c2f("adopt", "specs/tiny.yaml", "sft", "--checkpoint", checkpoint, *why, *PLACE)
    assert "stands for sft-" in done.stdout
    assert actions(c2f) == {"sft": "reuse"}
    assert (checkpoint / "model.safetensors").is_file(), "what was adopted stays where it was"
    (entry,) = read_lock(repository / "specs" / "c2f.lock").adopted
    assert entry[2:] == ("Mei", "trained: last year")
    shutil.rmtree(repository / ".c2f" / "store" / "records")
    assert actions(c2f) == {"sft": "failed"}
    assert "is not in this store" in c2f("apply", "specs/tiny.yaml", *PLACE, "--no-report", check=8).stdout
    again = c2f("adopt", "specs/tiny.yaml", "sft", "--checkpoint", checkpoint, *why, *PLACE)
    assert "its files are in this store" in again.stdout
    assert actions(c2f) == {"sft": "reuse"}
    (checkpoint / "config.json").write_text("{ }")
    other = c2f("adopt", "specs/tiny.yaml", "sft", "--checkpoint", checkpoint, *why, *PLACE, check=64)
    assert "is adopted already, with other files" in other.stderr
    assert read_lock(repository / "specs" / "c2f.lock").adopted == (entry,)


def test_adopted_chains_go_through_our_filters(c2f, repository, spec, tmp_path):
    spec.write_text(TINY_SPEC)
    c2f("apply", "specs/tiny.yaml", *PLACE, "--until", "distil", "--no-report")
    store = repository / ".c2f" / "store"
    (chains,) = store.glob("work/distil/*/attempts/*/chains.jsonl")
    rows = [json.loads(line) for line in chains.read_text().splitlines()]
    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(json.dumps({**row, "text": row["text"] + " "}) + "\n" for row in rows[:6]))
    call = ("adopt", "specs/tiny.yaml", "distil", "--chains", mine, "--why", "x", *PLACE)
    leak = tmp_path / "leak.jsonl"
    leak.write_text(json.dumps({"id": "test-1", "text": "x"}))
    assert "would leak" in c2f(*call[:4], leak, *call[5:], check=64).stderr
    assert c2f(*call).stderr.count("are not checked") == 0
    done = c2f("apply", "specs/tiny.yaml", *PLACE)
    assert "in 12, kept" in done.stdout
    (funnel,) = store.glob("work/filter/*/attempts/*/funnel.json")
    assert json.loads(funnel.read_text())["failed"] == {"not among the adopted chains": 6}
    report = next(store.glob("reports/*/report.md")).read_text()
    assert "Adopted: distil chains of thought (adopted) was made elsewhere;" in report


@pytest.mark.parametrize(
    ("break_", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "missing config.json"),
        (lambda f: (f / "pytorch_model.bin").write_bytes(b""), "runs code when it is read"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "merge them"),
        (lambda f: tensors(f / "model.safetensors", cut=3), "should have"),
        (lambda f: (f / "model.safetensors").write_bytes(b"short"), "holds no tensors"),
        (lambda f: (f / "model.safetensors").unlink(), "missing *.safetensors"),
    ],
)
def test_what_is_no_whole_model_is_refused(break_, says, checkpoint):
    break_(checkpoint)
    with pytest.raises(UsageError, match=re.escape(says)):
        check_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", ":2: not JSON"),
        ('{"id": 1}', ":2: not a chain"),
        ('{"id": "a", "text": "x"}', ":2: duplicate id `a`"),
    ],
)
def test_a_line_that_is_no_chain_is_named(line, says, tmp_path):
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"id": "a", "text": "x"}\n' + line + "\n")
    with pytest.raises(UsageError, match=says):
        check_chains(mine, None)


def test_each_kind_of_files_is_for_its_stages(c2f, spec, checkpoint):
    call = ("adopt", "specs/tiny.yaml", "filter", "--checkpoint", checkpoint, "--why", "x", *PLACE)
    assert "--checkpoint is for sft and grpo" in c2f(*call, check=64).stderr
