"""The flow of a pull request as CI runs it: the script of the jobs, a real git, a fake forge, and hostile specs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, TINY_SPEC
from tests.support.forge import TOKEN, Forge, serving

SCRIPT = REPOSITORY / "k8s" / "ci" / "specs.sh"
HOSTILE = (
    "::error file=x::y\n::add-mask::z\n<script>x</script> @everyone ![i](http://evil.example) \x1b[31m -->"
)


def git(folder, *argv):
    named = ("-c", "user.name=Mei", "-c", "user.email=mei@example.org")
    return subprocess.run(
        ["git", "-C", folder, *named, *argv], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def clone(repository, tmp_path_factory, monkeypatch):
    """A clone on `main`, whose branch `change` is only on the server, as a pull request's is."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    server = tmp_path_factory.mktemp("server") / "server.git"
    shutil.rmtree(repository / ".git")
    git(repository, "init", "--quiet", "--initial-branch=main")
    (repository / "specs" / "tiny.yaml").write_text(TINY_SPEC)
    (repository / ".gitignore").write_text(".c2f\n")
    pinned = [p.name for p in (repository / ".c2f" / "store" / "datasets" / "icwsm2014-movie").iterdir()]
    (repository / "specs" / "c2f.lock").write_text(f"c2f: v1\ndatasets:\n  icwsm2014-movie: {pinned[0]}\n")
    commit(repository)
    git(repository, "clone", "--quiet", "--bare", ".", server)
    git(repository, "remote", "add", "origin", server)
    git(repository, "checkout", "--quiet", "-b", "change")
    return repository


def commit(folder):
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def propose(clone, text, **more):
    """Commit to the branch, push it, and be on `main` again. Returns the commit."""
    (clone / "specs" / "tiny.yaml").write_text(text)
    for name, content in more.items():
        (clone / "specs" / f"{name}.yaml").write_text(content)
    sha = commit(clone)
    git(clone, "push", "--quiet", "origin", "change")
    git(clone, "checkout", "--quiet", "main")
    git(clone, "branch", "--quiet", "-D", "change")
    return sha


@pytest.fixture
def job(clone, tmp_path_factory):
    """Run the script as a job of GitHub does: `job("check")` → completed process."""
    bin_ = tmp_path_factory.mktemp("bin")
    for name, module in (("c2f-spec", "-m c2f_spec"), ("python3", "")):
        (bin_ / name).write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} {module} "$@"\n')
        (bin_ / name).chmod(0o755)
    base = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "GITLAB_", "CI"))}

    def run(task, **variables):
        env = {
            **base,
            "PATH": f"{bin_}:{base['PATH']}",
            "TMPDIR": str(bin_),
            "GITHUB_ACTIONS": "true",
            **variables,
        }
        return subprocess.run([SCRIPT, task], cwd=clone, env=env, capture_output=True, text=True, check=False)

    return run


def obeyed(text):
    """Lines that a runner would take for commands, outside of where it was told to take none."""
    found, word = [], None
    for line in text.splitlines():
        stop = re.match(r"\s*::stop-commands::(\w+)$", line)
        if word is None and stop:
            word = stop[1]
        elif word is not None and line.strip() == f"::{word}::":
            word = None
        elif word is None and re.match(r"\s*::", line):
            found.append(line)
    return found


def test_check_plans_every_spec_and_annotates_a_wrong_one(clone, job):
    done = job("check")
    assert done.returncode == 0, done.stderr
    assert json.loads((clone / "plans" / "tiny.json").read_text())["stages"]
    (clone / "specs" / "tiny.yaml").write_text(TINY_SPEC.replace("student: tiny", "student: tinny"))
    wrong = job("check")
    assert wrong.returncode == 3
    assert [line[:29] for line in obeyed(wrong.stdout)] == ["::error file=specs/tiny.yaml,"]


def test_nothing_of_a_hostile_spec_acts_in_a_job(clone, job):
    text = TINY_SPEC + f"description: {json.dumps(HOSTILE)}\n"
    (clone / "specs" / "tiny.yaml").write_text(text)
    (clone / "specs" / "::warning::x.yaml").write_text(text.replace("tiny-stages", "other"))
    (clone / "specs" / "$(touch owned).yaml").write_text(text.replace("tiny-stages", "third"))
    done = job("check")
    assert done.returncode == 0, done.stderr
    assert obeyed(done.stdout + done.stderr) == []
    assert "\x1b" not in done.stdout + done.stderr
    assert not (clone / "owned").exists()


def test_a_comment_is_of_the_branch_s_commit_by_the_code_of_main(clone, job):
    words = json.dumps(HOSTILE + " @all" * 20_000)  # 100 KB
    hostile = TINY_SPEC.replace("train: 12", "train: 10") + f"description: {words}\n"
    sha = propose(clone, hostile, **{"-- --!>": hostile.replace("tiny-stages", "other")})
    forge = Forge(gitlab=False, sha=sha)
    with serving(forge) as variables:
        done = job("comment", HEAD="mei:a branch", SHA=sha, **variables)
        assert done.returncode == 0, done.stderr
        (body,) = forge.bodies
        assert "data.limit.train 12 -> 10" in body.replace("&gt;", ">")
        assert len(body) <= 65_536
        for acts in ("<script", "@all", "@everyone", "](http", "\x1b", "-- --!>"):
            assert acts not in body
        assert len(re.findall("<!--", body)) == len(re.findall("-->", body)) == 2
        assert not (clone / "specs" / "-- --!>.yaml").exists(), "nothing of it is checked out"
        assert TOKEN not in done.stdout + done.stderr + (clone / ".git" / "config").read_text()

        again = job("comment", HEAD="mei:a branch", SHA=git(clone, "rev-parse", "main"), **variables)
        assert "no pull request has this commit" in again.stderr, "its branch has moved on"
        forge.sha = git(clone, "rev-parse", "main")
        job("comment", HEAD="mei:a branch", SHA=forge.sha, **variables)
        assert forge.bodies == [], "nothing changes any more"


def test_gitlab_gets_the_same_comment(clone, job):
    sha = propose(clone, TINY_SPEC.replace("train: 12", "train: 10"))
    forge = Forge(gitlab=True, sha=sha)
    with serving(forge) as variables:
        done = job("comment", SHA=sha, GITHUB_ACTIONS="", **variables)
    assert done.returncode == 0, done.stderr
    assert "data.limit.train 12 -&gt; 10" in forge.bodies[0]
    assert "stop-commands" not in done.stdout


def test_what_is_merged_runs_if_its_plan_is_the_one_that_was_shown(clone, job):
    sha = propose(clone, TINY_SPEC.replace("train: 12", "train: 3"))
    forge = Forge(gitlab=False, sha=sha)
    with serving(forge) as variables:
        assert job("comment", HEAD="mei:a branch", SHA=sha, **variables).returncode == 0
        git(clone, "merge", "--quiet", "--ff-only", sha)
        forge.merged = sha
        (clone / "specs" / "tiny.yaml").write_text(TINY_SPEC.replace("train: 12", "train: 9"))
        moved = job("apply", SHA=sha, **variables)
        assert moved.returncode == 5, moved.stdout + moved.stderr
        assert "was reviewed" in moved.stderr
        assert not (clone / ".c2f" / "store" / "records").exists()
        git(clone, "checkout", "--quiet", "specs")
        done = job("apply", SHA=sha, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(list((clone / ".c2f" / "store" / "records").rglob("*.json"))) == 3
        assert git(clone, "status", "--porcelain") == "", "a cluster takes no tree that is not as committed"
    other = Forge(gitlab=False, sha=sha, merged="0" * 40)
    with serving(other) as variables:
        assert "no plan was reviewed" in job("apply", SHA=sha, **variables).stdout


def test_workflows_pass_zizmor():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "zizmor"), "--offline", "--no-progress", "."],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_and_their_inputs_reach_the_script_as_variables():
    action = YAML(typ="safe").load(REPOSITORY / "action.yml")
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    for path in [REPOSITORY / "action.yml", *(REPOSITORY / ".github" / "workflows").glob("*.yml")]:
        for used in re.findall(r"uses: (\S+)", path.read_text()):
            assert used == "./" or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", used), used


def test_the_jobs_of_gitlab_run_the_same_script():
    jobs = YAML(typ="safe").load(REPOSITORY / ".gitlab-ci.yml")
    tasks = [
        line.split()[-1]
        for job in ("specs", "comment", "apply")
        for line in jobs[job]["script"]
        if "specs.sh" in line
    ]
    assert tasks == ["check", "comment", "apply"]
