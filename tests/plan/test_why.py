"""`why` follows a difference to where it began; `verify` follows a result back to what was planned."""

import json
import shutil
from pathlib import Path

import pytest

from c2f_spec.cli.main import main
from c2f_spec.keys import content_key, stage_digest
from c2f_spec.plan.compile import compile_plan, load_environment, load_variants
from c2f_spec.plan.verify import Evidence
from c2f_spec.plan.verify import verify as links
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import seal
from c2f_spec.store.open import open_store
from c2f_spec.targets.local import Local
from tests.conftest import REPOSITORY
from tests.plan.test_annotate import finish


@pytest.fixture
def stored(repository):
    """The smoke spec, whose stages are all done."""
    text = (REPOSITORY / "specs" / "smoke.yaml").read_text()
    Path("specs/smoke.yaml").write_text(text + "seed: 42\n")
    finish(open_store(".c2f/store"), plan_of())


def plan_of():
    environment = load_environment("local", Path.cwd(), None)
    objects = open_store(".c2f/store")
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
    objects = open_store(".c2f/store")
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
    finish(open_store(".c2f/store"), plan_of())
    seeded = next(s for s in plan_of().stages if s.kind == "sft")
    edit("seed: 43", "seed: 44")
    assert "seed 43 -> 44" in told("why", "specs/smoke.yaml", "sft", "--against", seeded.name)
    assert main(["why", "specs/smoke.yaml", "sft", "--against", "sft-nothing"]) == 64


def test_never_run(repository, told):
    shutil.copy(REPOSITORY / "specs" / "smoke.yaml", "specs")
    assert told("why", "specs/smoke.yaml", "sft").splitlines()[1:] == ["would run"]


# ---- verify

NOTHING_KNOWN = Evidence()


def test_every_link_of_what_ran_holds_until_something_is_touched(c2f, repository, tiny_spec):
    c2f("apply", "specs/tiny.yaml", "--no-report")
    done = c2f("verify", "specs/tiny.yaml")
    assert "3 of 3 stages are done; all links hold\n" in done.stdout
    assert done.stdout.count("= equal") == 3
    found = json.loads(c2f("verify", "specs/tiny.yaml", "-o", "json").stdout)["links"]
    assert sorted({link["link"] for link in found}) == ["code", "key", "outputs", "stage.json"]
    assert {link["state"] for link in found} == {"equal"}

    store = repository / ".c2f" / "store"
    output = next(p for p in (store / "work" / "distil").rglob("*.jsonl") if "attempts" in p.parts)
    output.write_text(output.read_text() + "\n")
    preimage = next((store / "preimages" / "prepare").iterdir())
    preimage.write_text(preimage.read_text().replace("movie", "other"))
    done = c2f("verify", "specs/tiny.yaml", check=4)
    wrong = [line.split()[2:] for line in done.stdout.splitlines() if line.startswith("! different")]
    assert sorted((line[0].partition("-")[0], line[1]) for line in wrong) == [
        ("distil", "outputs"),
        ("prepare", "key"),
    ]
    assert "2 links do not hold" in done.stdout


def checks(changed=(), evidence=NOTHING_KNOWN, accepted=None, **ran):
    """Links of a stage whose runtime said `ran`, and the stage as it is rendered `changed`."""
    plan = plan_of()
    stage = plan.stages[0]
    objects = open_store(".c2f/store")
    file = Local(objects, slots=1).prepare(plan, stage).file
    own = {
        "stage_file": stage_digest(file),
        "placement": file.placement.model_dump(mode="json"),
        "bundle": "",
        "code": {},
    }
    said = {"ran": {**own, **ran}} if ran.get("ran", True) else {}
    objects.delete(records.record_name(stage.kind, stage.key))
    record = Record(
        kind=stage.kind, key=stage.key, attempt="a", nonce="n", files={}, summary={}, provenance=said
    )
    objects.create(records.record_name(stage.kind, stage.key), records.record_bytes(record))
    rendered = file.model_copy(update=dict(changed))
    found = links(stage, objects, rendered, accepted or {}, evidence)
    return {c.link: (c.state, c.detail) for c in found}, stage, file


def test_code_that_ran_is_held_against_the_key_and_the_lock(stored):
    code = {"runtime/stages/prepare.py": "f" * 16}
    found, stage, _ = checks(code=code)
    keyed = stage.preimage["code"]["runtime/stages/prepare.py"]
    told = f"what ran is not what is keyed: runtime/stages/prepare.py {keyed} -> {'f' * 16}"
    assert found["code"] == ("different", told)
    found, _, _ = checks(code=code, accepted={"f" * 16: "e" * 16, "e" * 16: keyed})
    assert found["code"][0] == "equal"
    assert "1 of them accepted as equal" in found["code"][1]


def test_a_stage_that_would_be_placed_otherwise_has_moved_and_another_stage_is_different(stored):
    assert checks()[0]["stage.json"][0] == "equal"
    assert checks({"store": "s3://elsewhere", "scratch": "/pod"})[0]["stage.json"][0] == "equal"
    file = checks()[2]
    placed = file.placement.model_copy(update={"threads": 77, "pool": "a800"})
    moved = checks({"placement": placed, "code": "b" * 64})[0]["stage.json"]
    assert moved[0] == "moved"
    assert "pool none -> a800" in moved[1]
    assert f"threads {file.placement.threads} -> 77" in moved[1]
    assert checks({"preimage": {**file.preimage, "stage": "other"}})[0]["stage.json"][0] == "different"
    assert checks(stage_file="0" * 64)[0]["stage.json"][0] == "different"


def test_the_image_that_ran_is_held_against_the_planned_one(stored):
    planned = f"registry/c2f@sha256:{'1' * 64}"
    placement = {**checks()[2].placement.model_dump(mode="json"), "image": planned}
    assert checks(placement=placement)[0]["image"][0] == "unknown"
    same = Evidence(image=f"other.registry/c2f@sha256:{'1' * 64}")
    assert checks(placement=placement, evidence=same)[0]["image"][0] == "equal"
    other = Evidence(image=f"registry/c2f@sha256:{'2' * 64}")
    state, detail = checks(placement=placement, evidence=other)[0]["image"]
    assert state == "different"
    assert detail == f"planned {planned}, ran registry/c2f@sha256:{'2' * 64}"


def test_a_manifest_is_held_against_what_is_rendered(stored):
    assert "manifest" not in checks()[0]
    assert checks(evidence=Evidence(manifest="a" * 64, rendered="a" * 64))[0]["manifest"][0] == "equal"
    assert checks(evidence=Evidence(manifest="a" * 64, rendered="b" * 64))[0]["manifest"][0] == "moved"


def test_what_an_older_version_did_not_record_is_no_difference(stored):
    found, _, _ = checks(ran=None)
    assert found["code"][0] == found["stage.json"][0] == "unknown"
