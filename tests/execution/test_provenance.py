"""The tree that a launch comes from: told by a real git, refused for a cluster, marked in what it made."""

import json
import subprocess
from dataclasses import replace

import pytest

from c2f_spec.errors import Denied
from c2f_spec.execution.provenance import (
    changed_files,
    read_origin,
    refuse_unpublished,
    save_origin,
    with_origin,
    with_patch,
)
from c2f_spec.plan.compile import compile_plan, load_environment
from c2f_spec.plan.plan_file import from_json, to_json
from c2f_spec.spec.environment import LocalEnvironment
from c2f_spec.store.open import open_store
from tests.conftest import REPOSITORY, load_spec

HERE = LocalEnvironment(c2f="v1", kind="local", store="store", demo=True)


def git(folder, *argv):
    named = ("-c", "user.name=Mei", "-c", "user.email=mei@example.org")
    done = subprocess.run(["git", "-C", folder, *named, *argv], capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A clone whose one commit is pushed."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    git(tmp_path, "clone", "--quiet", "remote.git", "here")
    here = tmp_path / "here"
    (here / ".gitignore").write_text("ignored\n")
    (here / "spec.yaml").write_text("a: 1\n")
    git(here, "add", ".")
    git(here, "commit", "--quiet", "-m", "one")
    git(here, "push", "--quiet", "origin", "HEAD")
    return here


def test_a_pushed_tree_names_its_commit(tree):
    (tree / "ignored").write_text("x")
    origin = read_origin(tree, ["apply", "spec.yaml"])
    assert (origin.commit, origin.pushed, origin.changed) == (git(tree, "rev-parse", "HEAD"), True, ())
    assert origin.argv == ("apply", "spec.yaml")
    refuse_unpublished(origin, allow_dirty=False)


def test_changed_new_and_removed_files_are_refused_by_name(tree):
    (tree / "new 名.yaml").write_text("b: 2\n")
    (tree / "spec.yaml").write_text("a: 2\n")
    assert changed_files(tree) == ["new 名.yaml", "spec.yaml"]
    with pytest.raises(Denied, match=r"not as committed, in 2 files: new 名.yaml, spec.yaml") as caught:
        refuse_unpublished(read_origin(tree, []), allow_dirty=False)
    assert caught.value.exit == 6
    git(tree, "rm", "--quiet", "--force", "spec.yaml")
    assert changed_files(tree) == ["new 名.yaml", "spec.yaml"]


def test_a_commit_that_no_remote_has_is_refused(tree):
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "two")
    with pytest.raises(Denied, match="no remote is known to have the commit"):
        refuse_unpublished(read_origin(tree, []), allow_dirty=False)


def test_outside_of_a_repository_there_is_nothing_to_allow(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    origin = read_origin(tmp_path / "elsewhere", [])
    assert origin.commit is None
    with pytest.raises(Denied, match="in no commit"):
        refuse_unpublished(origin, allow_dirty=True)


def test_the_patch_leads_from_the_pushed_commit_to_the_tree_and_touches_nothing(tree, tmp_path):
    pushed = git(tree, "rev-parse", "HEAD")
    (tree / "committed.bin").write_bytes(bytes(range(256)))
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "two")
    (tree / "spec.yaml").write_text("a: 3\n")
    (tree / "new.yaml").write_text("c: 3\n")
    (tree / "ignored").write_text("x")
    before = sorted(p.name for p in (tree / ".git" / "objects").rglob("*"))
    origin, patch = with_patch(read_origin(tree, []), tree)
    assert origin.base == pushed
    assert sorted(p.name for p in (tree / ".git" / "objects").rglob("*")) == before
    assert git(tree, "status", "--porcelain") == "M spec.yaml\n?? new.yaml"

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "remote.git", "clone")
    (tmp_path / "tree.patch").write_bytes(patch)
    git(clone, "apply", str(tmp_path / "tree.patch"))
    for name in ("spec.yaml", "new.yaml", "committed.bin"):
        assert (clone / name).read_bytes() == (tree / name).read_bytes()
    assert not (clone / "ignored").exists()


def test_a_patch_with_a_credential_or_of_data_is_not_stored(tree):
    (tree / "secret.env").write_text("AWS_SECRET_ACCESS_KEY=abcdefghijklmnop\n")
    with pytest.raises(Denied, match=r"secret.env holds what looks like a credential"):
        with_patch(read_origin(tree, []), tree)
    (tree / "secret.env").unlink()
    (tree / "data.txt").write_text("".join(f"{i * 7919 % 10007} line\n" for i in range(500_000)))
    with pytest.raises(Denied, match=r"at most 5,000,000 are stored"):
        with_patch(read_origin(tree, []), tree)


def test_secrets_of_the_command_line_are_not_recorded(tree, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "sesame-opens")
    origin = read_origin(tree, ["apply", "--set", "x=sesame-opens"])
    assert origin.argv == ("apply", "--set", "x=***")


def planned(environment=HERE):
    loaded = load_spec(REPOSITORY / "specs" / "smoke.yaml")
    return compile_plan([loaded], {}, environment, "here")


def launched(plan, store, tree, *, allow_dirty):
    plan, origin, patch = with_origin(plan, tree, ["apply"], allow_dirty=allow_dirty)
    save_origin(store, origin, patch)
    return plan


def test_a_launch_writes_its_tree_down_and_a_dirty_one_is_another_plan(tree, tmp_path):
    store = open_store(str(tmp_path / "store"))
    plan = planned()
    clean = launched(plan, store, tree, allow_dirty=False)
    assert clean.digest == plan.digest
    assert from_json(json.dumps(to_json(clean)).encode(), "plan.json").origin == clean.origin
    (tree / "spec.yaml").write_text("a: 4\n")
    here = launched(plan, store, tree, allow_dirty=False)
    assert here.origin.changed == ("spec.yaml",)
    dirty = launched(plan, store, tree, allow_dirty=True)
    assert dirty.digest != plan.digest
    assert b"+a: 4" in store.read(f"provenance/{dirty.origin.patch}.patch")


def test_a_cluster_takes_a_dirty_tree_only_when_it_is_allowed(tree, tmp_path):
    store = open_store(str(tmp_path / "store"))
    plan = replace(planned(), environment=load_environment("a800", REPOSITORY, None))
    launched(plan, store, tree, allow_dirty=False)
    (tree / "spec.yaml").write_text("a: 5\n")
    with pytest.raises(Denied, match=r"not as committed, in 1 files: spec.yaml"):
        launched(plan, store, tree, allow_dirty=False)
    assert launched(plan, store, tree, allow_dirty=True).origin.patch
