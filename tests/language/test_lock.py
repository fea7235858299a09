"""`c2f.lock`: what it may say, and that writing a pin changes one line and nothing else."""

import os
import subprocess
import sys

import pytest

from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.language.lock_file import UNPINNED, Acceptance, Lock, read_lock, write_pins
from c2f_spec.plan.compile import compile_plan, load_environment, unpinned_places
from c2f_spec.plan.pins import Need, images_of, staged_copies
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.store.open import open_store
from tests.conftest import REPOSITORY, load_spec

HERE = LocalEnvironment(c2f="v1", kind="local", store="store")
CLUSTER = load_environment("a800", REPOSITORY, None)

A, B, C = "a" * 64, "b" * 64, "c" * 64
MODEL = "Qwen/Qwen2.5-Omni-7B@" + "0" * 40
WRITTEN = f"""\
# our pins
c2f: v1
datasets: # staged by mei
    cmu-mosi: {A} # checked against the paper's counts

    # before the correction of 2021
    zz: {B}
models: {{}}
accept:
- {{old: 1234567890123456, new: 12e4567890123456, by: mei, why: renamed}}
"""


def locked(tmp_path, text):
    path = tmp_path / "c2f.lock"
    path.write_text(text)
    return path


def test_all_sections_are_read(tmp_path):
    lock = read_lock(locked(tmp_path, WRITTEN))
    assert lock == Lock(
        {"cmu-mosi": A, "zz": B},
        accept=(Acceptance("1234567890123456", "12e4567890123456", "mei", "renamed"),),
    )


def test_an_absent_file_pins_nothing(tmp_path):
    assert read_lock(tmp_path / "c2f.lock") == Lock()


def test_every_wrong_line_is_told_at_its_place(tmp_path):
    path = locked(
        tmp_path,
        f"c2f: v1\ndatasets: {{x: short}}\nmodels:\n  Qwen/x: {A}\nimages:\n  r/c2f:1: {A}\n"
        "accept:\n  - {old: 0123456789abcdef, new: 0123456789abcdef, by: a, why: b}\nmore: {}\n",
    )
    with pytest.raises(SpecErrors) as caught:
        read_lock(path)
    assert [(d.code, d.place.line, d.place.column) for d in caught.value.diagnostics] == [
        ("C2F403", 2, 15), ("C2F404", 4, 3), ("C2F403", 6, 12), ("C2F405", 8, 5), ("C2F401", 9, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        "not a map",
        "{old: 0123456789abcdef, new: fedcba9876543210, by: mei}",
        "{old: 0123456789abcdef, new: fedcba9876543210, by: mei, why: ' '}",
        "{old: 0123456789abcdef, new: short, by: mei, why: x}",
        "{old: 0123456789abcdef, new: fedcba9876543210, by: mei, why: [x]}",
    ],
)
def test_an_acceptance_says_everything(entry, tmp_path):
    with pytest.raises(SpecErrors, match="C2F405"):
        read_lock(locked(tmp_path, f"c2f: v1\naccept:\n  - {entry}\n"))


def test_one_new_digest_is_accepted_once(tmp_path):
    entry = "  - {{old: {}, new: fedcba9876543210, by: mei, why: x}}\n"
    text = "c2f: v1\naccept:\n" + entry.format("0" * 16) + entry.format("1" * 16)
    with pytest.raises(SpecErrors, match="duplicate `new`"):
        read_lock(locked(tmp_path, text))


def test_a_new_pin_is_one_line_more_in_its_place(tmp_path):
    path = locked(tmp_path, WRITTEN)
    write_pins(path, "datasets", {"ch-sims": C, "mm": C})
    line = f"    cmu-mosi: {A} # checked against the paper's counts\n"
    assert path.read_text() == WRITTEN.replace(line, f"    ch-sims: {C}\n{line}    mm: {C}\n")


def test_a_changed_pin_changes_its_digest_alone(tmp_path):
    path = locked(tmp_path, WRITTEN)
    write_pins(path, "datasets", {"cmu-mosi": C, "zz": B})
    assert path.read_text() == WRITTEN.replace(A, C)


def test_sections_in_braces_or_absent_become_lines(tmp_path):
    path = locked(tmp_path, WRITTEN)
    write_pins(path, "models", {MODEL: C})
    write_pins(path, "images", {"r/c2f:1": f"sha256:{C}"})
    assert path.read_text() == (
        WRITTEN.replace("models: {}", f"models:\n  {MODEL}: {C}") + f"images:\n  r/c2f:1: sha256:{C}\n"
    )
    path = locked(tmp_path, f"c2f: v1\ndatasets: {{b: {A},\n  a: {B}\n  }}\n# end\n")
    write_pins(path, "datasets", {"c": C})
    assert path.read_text() == f"c2f: v1\ndatasets:\n  a: {B}\n  b: {A}\n  c: {C}\n# end\n"


def test_a_first_pin_makes_the_file(tmp_path):
    write_pins(tmp_path / "c2f.lock", "datasets", {"ch-sims": A})
    assert read_lock(tmp_path / "c2f.lock") == Lock({"ch-sims": A})


def test_a_wrong_file_is_not_written_over(tmp_path):
    path = locked(tmp_path, "c2f: v1\ndatasets: {x: short}\n")
    with pytest.raises(SpecErrors, match="C2F403"):
        write_pins(path, "datasets", {"y": A})
    assert "short" in path.read_text()


# ---- what a plan takes names for


REVISION = "ae9e1690543ffd5c0221dc27f79834d0294cba00"
SPEC = f"""\
c2f: v1
name: bare
data: {{train: ch-sims}}
student: {{model: Qwen/Qwen2.5-Omni-7B, revision: {REVISION}}}
evaluate: {{checkpoints: [base], datasets: [ch-sims]}}
"""
STUDENT = f"Qwen/Qwen2.5-Omni-7B@{REVISION}"


def planned(tmp_path, staged, environment, lock=""):
    (tmp_path / "bare.yaml").write_text(SPEC)
    (tmp_path / "c2f.lock").write_text(f"c2f: v1\n{lock}")
    loaded = load_spec(tmp_path / "bare.yaml")
    unpinned = [(need.name, place.line) for need, place in unpinned_places([loaded])]
    return compile_plan([loaded], staged, environment, "here"), unpinned


def test_on_a_cluster_every_name_is_pinned(tmp_path):
    with pytest.raises(SpecErrors) as caught:
        planned(tmp_path, {"ch-sims": [A]}, CLUSTER)
    assert [(d.code, d.place.line) for d in caught.value.diagnostics] == [("C2F411", 3), ("C2F411", 4)]
    plan, unpinned = planned(
        tmp_path, {}, CLUSTER, f"datasets: {{ch-sims: {A}}}\nmodels:\n  {STUDENT}: {B}\n"
    )
    assert unpinned == []
    assert plan.lock == {"datasets": {"ch-sims": A}, "models": {STUDENT: B}}


def test_here_the_one_staged_copy_of_a_name_without_a_pin_is_taken(tmp_path):
    plan, unpinned = planned(tmp_path, {"ch-sims": [A], STUDENT: [B]}, HERE)
    assert unpinned == [("ch-sims", 3), (STUDENT, 4)]
    assert [s.preimage.get("data", s.preimage.get("models")) for s in plan.stages] == [
        {"name": "ch-sims", "digest": A}, {STUDENT: B},
    ]  # fmt: skip


@pytest.mark.parametrize(("staged", "code"), [([], "C2F412"), ([B, C], "C2F413")])
def test_here_no_copy_or_two_are_an_error(staged, code, tmp_path):
    with pytest.raises(SpecErrors) as caught:
        planned(tmp_path, {"ch-sims": [A], STUDENT: staged}, HERE)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_offline_a_name_without_a_pin_makes_keys_that_no_pin_makes(tmp_path):
    plan, unpinned = planned(tmp_path, None, CLUSTER)
    assert unpinned == [("ch-sims", 3), (STUDENT, 4)]
    assert plan.lock == {"datasets": {"ch-sims": UNPINNED}, "models": {STUDENT: UNPINNED}}
    later, _ = planned(tmp_path, {"ch-sims": [A], STUDENT: [B]}, HERE)
    assert {s.key for s in plan.stages}.isdisjoint(s.key for s in later.stages)


def test_two_specs_may_mean_two_copies_by_one_name(tmp_path):
    loaded = []
    for digest, name in ((A, "one"), (B, "two")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "bare.yaml").write_text(SPEC.replace("name: bare", f"name: {name}"))
        write_pins(folder / "c2f.lock", "datasets", {"ch-sims": digest})
        write_pins(folder / "c2f.lock", "models", {STUDENT: C})
        loaded.append(load_spec(folder / "bare.yaml"))
    plan = compile_plan(loaded, {}, HERE, "here")
    assert [s.preimage["data"]["digest"] for s in plan.stages if s.kind == "prepare"] == [A, B]


def test_copies_of_a_model_are_found_in_the_store(tmp_path):
    store = open_store(str(tmp_path))
    store.create(f"models/Qwen/Qwen2.5-Omni-7B/{REVISION}/{A}/model.json", b"{}")
    store.create(f"models/Qwen/Qwen2.5-Omni-7B/{REVISION}/{B}/files/half", b"")
    assert staged_copies(store, [Need("models", STUDENT, ())]) == {STUDENT: [A]}


# ---- the verb


CLUSTER_TEXT = (REPOSITORY / "k8s" / "environments" / "a800.yaml").read_text()


@pytest.fixture
def somewhere(tmp_path):
    """A repository with a cluster spec, an environment whose store is a folder here, and a local one."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "bare.yaml").write_text(SPEC + "environment: a800\n")
    folder = tmp_path / "k8s" / "environments"
    folder.mkdir(parents=True)
    (folder / "a800.yaml").write_text(CLUSTER_TEXT.replace("policy: k8s/policies/site.yaml", ""))
    (folder / "here.yaml").write_text("c2f: v1\nkind: local\nstore: store\n")
    return tmp_path


def lock(folder, *argv):
    command = [sys.executable, "-m", "c2f_spec", "lock", *argv]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def stage(folder, name, *digests):
    for digest in digests:
        path = folder / "store" / name / digest
        path.mkdir(parents=True)
        (path / ("dataset.json" if name.startswith("datasets") else "model.json")).write_text("{}")


def test_check_names_what_a_cluster_would_refuse_and_reads_no_store(somewhere):
    done = lock(somewhere, "--check")
    assert done.returncode == 4, done.stderr
    assert done.stdout.splitlines() == [
        "specs/c2f.lock: data set `ch-sims` is not pinned, as a800 requires (specs/bare.yaml)",
        f"specs/c2f.lock: model `{STUDENT}` is not pinned, as a800 requires (specs/bare.yaml)",
    ]
    here = lock(somewhere, "--check", "--on", "here")
    assert here.returncode == 0
    names = f"data set `ch-sims`, model `{STUDENT}`"
    text = "warning: specs/c2f.lock: not pinned, so the one staged copy will be taken"
    assert here.stderr == f"{text}: {names}\n"
    assert not (somewhere / "store").exists()
    assert not (somewhere / "specs" / "c2f.lock").exists()


def test_lock_pins_what_is_staged_and_then_has_nothing_to_do(somewhere):
    stage(somewhere, "datasets/ch-sims", A)
    done = lock(somewhere, "--on", "here")
    assert done.stdout.splitlines() == [
        f"specs/c2f.lock: ch-sims is {A[:10]}",
        f"model `{STUDENT}` is not staged: not pinned",
    ]
    stage(somewhere, f"models/{STUDENT.replace('@', '/')}", B)
    assert lock(somewhere, "--on", "here").stdout == f"specs/c2f.lock: {STUDENT} is {B[:10]}\n"
    assert lock(somewhere, "--on", "here").stdout.startswith("nothing to pin")
    assert read_lock(somewhere / "specs" / "c2f.lock") == Lock({"ch-sims": A}, {STUDENT: B})
    assert lock(somewhere, "--check").returncode == 0


def test_of_several_copies_one_is_chosen_by_its_digest(somewhere):
    stage(somewhere, "datasets/ch-sims", A, B)
    assert "has 2 staged copies: aaaaaaaaaa, bbbbbbbbbb" in lock(somewhere, "--on", "here").stdout
    assert lock(somewhere, "--on", "here", "--pin", "ch-sims=bbbbbb").returncode == 0
    moved = lock(somewhere, "--on", "here", "--pin", "ch-sims=aaaaaa")
    assert f"ch-sims is {A[:10]} (was {B[:10]})" in moved.stdout
    assert lock(somewhere, "--on", "here", "--pin", "mosi=aaaaaa").returncode == 64


def test_another_image_than_the_pinned_one_is_a_difference_and_no_plan(somewhere):
    write_pins(somewhere / "specs" / "c2f.lock", "datasets", {"ch-sims": A})
    write_pins(somewhere / "specs" / "c2f.lock", "models", {STUDENT: B})
    write_pins(somewhere / "specs" / "c2f.lock", "images", images_of(CLUSTER))
    assert lock(somewhere, "--check").returncode == 0
    name, digest = next(iter(images_of(CLUSTER).items()))
    write_pins(somewhere / "specs" / "c2f.lock", "images", {name: f"sha256:{C}"})
    checked = lock(somewhere, "--check")
    assert checked.returncode == 4
    assert f"image `{name}` is pinned to sha256:{C}, and a800 has {digest}" in checked.stdout
    with pytest.raises(SpecErrors, match="C2F419"):
        compile_plan([load_spec(somewhere / "specs" / "bare.yaml")], {}, CLUSTER, "a800")


def test_a_plan_for_a_cluster_is_shown_offline_and_names_what_is_not_pinned(somewhere):
    command = [sys.executable, "-m", "c2f_spec", "plan", "specs/bare.yaml", "--offline", "-o", "markdown"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=somewhere, env=env, capture_output=True, text=True, check=True)
    assert "keys of what needs them will change: ch-sims, Qwen/Qwen2.5-Omni-7B" in done.stdout
    assert done.stderr.splitlines() == [
        "warning: 2 names are not pinned in c2f.lock: the keys of what needs them will change [C2F417]",
        "  specs/bare.yaml:3  data set `ch-sims`",
        f"  specs/bare.yaml:4  model `{STUDENT}`",
        "  hint: run `c2f-spec lock specs/bare.yaml` to pin what is staged",
    ]
    assert sorted(p.name for p in somewhere.iterdir()) == [".git", "k8s", "specs"]
