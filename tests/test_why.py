"""`why` follows a difference to where it began; `verify` follows a result back to what was planned."""

import json
import shutil
from pathlib import Path

import pytest

from c2f_spec.cli.main import main
from c2f_spec.keys import content_key
from c2f_spec.plan.compile import compile_plan, load_environment, load_variants
from c2f_spec.plan.verify import Check
from c2f_spec.plan.verify import verify as links
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.objects import open_objects
from c2f_spec.store.sealed import seal
from tests.conftest import REPOSITORY
from tests.test_annotate import finish


@pytest.fixture
def stored(repository):
    """The smoke spec, whose stages are all done."""
    text = (REPOSITORY / "specs" / "smoke.yaml").read_text()
    Path("specs/smoke.yaml").write_text(text + "seed: 42\n")
    finish(open_objects(".c2f/store"), plan_of())


def plan_of():
    environment = load_environment("local", Path.cwd(), None)
    objects = open_objects(".c2f/store")
    staged = {"icwsm2014-movie": records.datasets_present(objects, "icwsm2014-movie")}
    return compile_plan(load_variants(Path("specs/smoke.yaml")), staged, environment, "local")


@pytest.fixture
def told(capsys):
    def call(*argv: str, code: int = 0) -> str:
        assert main(list(argv)) == code
        return capsys.readouterr().out

    return call


def edit(old: str, new: str) -> None:
    path = Path("specs/smoke.yaml")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_done_stage_is_told_as_done(stored, told):
    text = told("why", "specs/smoke.yaml", "sft")
    assert "is done, and would be reused" in text
    assert "nearest" not in text


def test_the_leaf_is_found_in_the_stage_that_it_belongs_to(stored, told):
    before = {s.kind: s for s in plan_of().stages}
    edit("filters:", "# no comment matters\nfilters:")
    assert "would be reused" in told("why", "specs/smoke.yaml", "grpo")
    edit("seed: 42", "seed: 43")
    after = {s.kind: s for s in plan_of().stages}
    text = told("why", "specs/smoke.yaml", "grpo")
    assert f"nearest that is done: {before['grpo'].name}" in text
    assert "\n  seed 42 -> 43\n" in text
    assert (
        f"  needs {after['sft'].name} (supervised fine-tuning), which was {before['sft'].name}:\n    seed 42 -> 43"
        in text
    )
    found = json.loads(told("why", "specs/smoke.yaml", "grpo", "-o", "json"))
    assert [(c["stage"], c["change"]) for c in found["causes"]] == [
        (after["grpo"].name, "seed 42 -> 43"),
        (after["sft"].name, "seed 42 -> 43"),
    ]


def test_changed_code_is_named_with_what_the_lock_would_take(stored, told):
    objects = open_objects(".c2f/store")
    stage = next(s for s in plan_of().stages if s.kind == "sft")
    older = {
        **stage.preimage,
        "code": {**stage.preimage["code"], "runtime/stages/sft.py": "0123456789abcdef"},
    }
    key = content_key(older)
    objects.delete(records.record_name("sft", stage.key))
    records.save_preimages(objects, [("sft", key, older)])
    record = Record(
        kind="sft",
        key=key,
        attempt="a",
        nonce="n",
        files={},
        summary={},
        provenance={"started": "2026-01-02"},
    )
    objects.create(records.record_name("sft", key), seal(record.model_dump()))
    text = told("why", "specs/smoke.yaml", "sft")
    new = stage.preimage["code"]["runtime/stages/sft.py"]
    assert f"nearest that is done: sft-{key[:10]}, started 2026-01-02" in text
    assert f"  code changed: runtime/stages/sft.py (0123456789abcdef -> {new})\n" in text
    entry = f"  - {{old: 0123456789abcdef, new: {new}, by: YOU, why: WHAT MAKES IT THE SAME}}\n"
    assert text.endswith("accept:\n" + entry)

    Path("specs/c2f.lock").write_text("c2f: v1\naccept:\n" + entry)
    accepted = next(s for s in plan_of().stages if s.kind == "sft")
    assert accepted.preimage["code"] == older["code"]


def test_any_stored_stage_can_be_compared_with(stored, told):
    edit("seed: 42", "seed: 43")
    finish(open_objects(".c2f/store"), plan_of())
    seeded = next(s for s in plan_of().stages if s.kind == "sft")
    edit("seed: 43", "seed: 44")
    assert "seed 43 -> 44" in told("why", "specs/smoke.yaml", "sft", "--against", seeded.name)
    assert main(["why", "specs/smoke.yaml", "sft", "--against", "sft-nothing"]) == 64


def test_never_run(repository, told):
    shutil.copy(REPOSITORY / "specs" / "smoke.yaml", "specs")
    assert told("why", "specs/smoke.yaml", "sft").splitlines()[1:] == ["would run"]


# ---- verify


def test_every_link_of_what_ran_holds_until_something_is_touched(c2f, repository, tiny_spec):
    c2f("apply", "specs/tiny.yaml", "--no-report")
    done = c2f("verify", "specs/tiny.yaml")
    assert "3 of 3 stages are done; all links hold\n" in done.stdout
    assert "unknown" not in done.stdout
    found = json.loads(c2f("verify", "specs/tiny.yaml", "-o", "json").stdout)["links"]
    assert sorted({link["link"] for link in found}) == ["code", "key", "outputs", "stage.json"]

    store = repository / ".c2f" / "store"
    output = next(p for p in (store / "work" / "distil").rglob("*.jsonl") if "attempts" in p.parts)
    output.write_text(output.read_text() + "\n")
    rendered = next((store / "work" / "filter").glob("*/stage.json"))
    rendered.write_text(rendered.read_text().replace('"threads": ', '"threads": 1'))
    preimage = next((store / "preimages" / "prepare").iterdir())
    preimage.write_text(preimage.read_text().replace("movie", "other"))
    done = c2f("verify", "specs/tiny.yaml", check=4)
    wrong = [line.split()[2:] for line in done.stdout.splitlines() if line.startswith("! different")]
    assert sorted((line[0].partition("-")[0], line[1]) for line in wrong) == [
        ("distil", "outputs"),
        ("filter", "stage.json"),
        ("prepare", "key"),
    ]
    assert "3 links do not hold" in done.stdout


def checks(provenance, image=None, accepted=None, tmp_path=None):
    plan = plan_of()
    stage = plan.stages[0]
    objects = open_objects(".c2f/store")
    objects.delete(records.record_name(stage.kind, stage.key))
    record = Record(
        kind=stage.kind, key=stage.key, attempt="a", nonce="n", files={}, summary={}, provenance=provenance
    )
    objects.create(records.record_name(stage.kind, stage.key), seal(record.model_dump()))
    found: list[Check] = list(links(stage, objects, accepted or {}, image))
    return {c.link: (c.state, c.detail) for c in found}, stage


def test_code_that_ran_is_held_against_the_key_and_the_lock(stored):
    code = {"runtime/stages/prepare.py": "f" * 16}
    found, stage = checks({"ran": {"code": code}})
    keyed = stage.preimage["code"]["runtime/stages/prepare.py"]
    assert found["code"] == (
        "different",
        f"what ran is not what is keyed: runtime/stages/prepare.py {keyed} -> {'f' * 16}",
    )
    found, _ = checks({"ran": {"code": code}}, accepted={"f" * 16: "e" * 16, "e" * 16: keyed})
    assert found["code"][0] == "equal"
    assert "1 of them accepted as equal" in found["code"][1]


def test_the_image_that_ran_is_held_against_the_planned_one(stored):
    planned = f"registry/c2f@sha256:{'1' * 64}"
    ran = {"ran": {"image": planned, "code": {}}}
    assert checks(ran)[0]["image"][0] == "unknown"
    assert checks(ran, image=f"other.registry/c2f@sha256:{'1' * 64}")[0]["image"][0] == "equal"
    state, detail = checks(ran, image=f"registry/c2f@sha256:{'2' * 64}")[0]["image"]
    assert state == "different"
    assert detail == f"planned {planned}, ran registry/c2f@sha256:{'2' * 64}"


def test_what_an_older_version_did_not_record_is_no_difference(stored):
    found, _ = checks({})
    assert found["code"][0] == found["stage.json"][0] == "unknown"
