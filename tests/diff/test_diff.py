"""What a change of specs means: read from two files, from two revisions, and from what ran."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from c2f_spec.cli.main import main
from c2f_spec.diff.git import Repository
from c2f_spec.errors import UsageError

BASE = """\
c2f: v1
name: base
data: {train: icwsm2014-movie, limit: {train: 12, valid: 2, test: 2}, render_seed: 1}
student: tiny
teacher: lexicon
filters: {polarity_match: {}}
sft: {steps: 3, batch: 4}
grpo: {steps: 2, batch: 4, beta: 0.1}
evaluate: {checkpoints: [sft, grpo], datasets: [icwsm2014-movie]}
"""
SWEEP = """\
extends: base.yaml
name: sweep
sweep:
  variants:
    low: {grpo.beta: 0.1}
    high: {grpo.beta: 0.3}
"""
LOCK = f"c2f: v1\ndatasets: {{icwsm2014-movie: {'1' * 64}}}\n"


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository with two specs, committed; the test runs inside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (tmp_path / "specs").mkdir()
    write(base=BASE, sweep=SWEEP)
    Path("specs/c2f.lock").write_text(LOCK)
    git("init", "-q", "-b", "main")
    commit()
    return tmp_path


def write(**specs: str) -> None:
    for name, text in specs.items():
        Path(f"specs/{name}.yaml").write_text(text)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def commit() -> None:
    git("add", "-A")
    git("commit", "-qm", "x")


@pytest.fixture
def told(capsys):
    """`told("diff", …)` → exit code and what was printed."""

    def call(*argv: str) -> tuple[int, str]:
        code = main(list(argv))
        out = capsys.readouterr()
        return code, out.out + out.err

    return call


def diff_of(told, *what: str) -> dict:
    return json.loads(told("diff", "-o", "json", *what)[1])


def spec_of(found: dict, file: str) -> dict:
    return next(s for s in found["specs"] if s["file"] == file)


def changes_of(spec: dict) -> list[str]:
    return [f["change"] for f in spec["fields"]]


def labels(found: dict, keys: list[str]) -> list[str]:
    by_key = {s["key"]: s["label"] for part in ("run", "reuse", "dropped") for s in found[part]}
    return [by_key[key] for key in keys]


def test_a_field_is_told_with_the_stages_that_run_again_and_those_that_do_not(repo, told):
    write(base=BASE.replace("beta: 0.1", "beta: 0.2"))
    commit()
    found = diff_of(told, "HEAD~1..HEAD")
    base = spec_of(found, "specs/base.yaml")
    assert changes_of(base) == ["grpo.beta 0.1 -> 0.2"]
    assert labels(found, base["run"]) == ["reinforcement learning (GRPO)", "evaluate grpo on icwsm2014-movie"]
    assert len(base["reuse"]) == 5
    # The sweep sets the field that its base changed: it means the same as before.
    assert [s["file"] for s in found["specs"]] == ["specs/base.yaml"]
    assert found["unchanged"] == 1
    # The old sweep has the old value, so nothing of it is dropped.
    assert found["dropped"] == []


def test_the_text_says_it_in_a_few_lines(repo, told, golden):
    write(
        base=BASE.replace("beta: 0.1", "beta: 0.2").replace(
            "teacher: lexicon", "description: why not\nteacher: lexicon"
        ),
        sweep=SWEEP.replace("high", "top") + "    none: {grpo.hint.hard_policy: keep}\n",
    )
    commit()
    for form in ("table", "markdown"):
        text = told("diff", "main~1..main", "-o", form)[1]
        for rev in ("main~1", "main"):
            text = text.replace(git("rev-parse", "--short=7", rev).strip(), "0000000")
        golden(f"diff/revisions.{form}", masked(text))


def masked(text: str) -> str:
    from tests.cli.test_forms import masked as mask

    return mask(text)


def test_two_files_are_two_versions_of_one_spec(repo, told):
    write(other=BASE.replace("steps: 3", "steps: 4"))
    found = diff_of(told, "specs/base.yaml", "specs/other.yaml")
    assert [s["file"] for s in found["specs"]] == ["specs/other.yaml"]
    assert changes_of(found["specs"][0]) == ["sft.steps 3 -> 4"]
    assert sorted({s["kind"] for s in found["run"]}) == ["evaluate", "grpo", "sft"]


def test_options_may_stand_between_revisions_and_paths(repo, told):
    write(base=BASE.replace("steps: 3", "steps: 4"))
    commit()
    asked = ("HEAD~1..HEAD", "-o", "json", "--", "specs/")
    assert json.loads(told("diff", *asked)[1]) == diff_of(told, "HEAD~1..HEAD", "--", "specs/")


def test_renamed_variants_and_files_are_matched_by_their_keys(repo, told):
    git("mv", "specs/base.yaml", "specs/first.yaml")
    write(sweep=SWEEP.replace("base.yaml", "first.yaml").replace("low", "small"))
    commit()
    found = diff_of(told, "HEAD~1..HEAD", "--", "specs/")
    assert spec_of(found, "specs/first.yaml")["was"] == "specs/base.yaml"
    assert spec_of(found, "specs/sweep.yaml")["variants"]["renamed"] == [["sweep-low", "sweep-small"]]
    assert found["run"] == found["dropped"] == []
    assert told("diff", "--equivalent", "HEAD~1..HEAD")[0] == 0


def test_a_renamed_variant_that_also_changed_is_found_by_what_it_shares(repo, told):
    write(sweep=SWEEP.replace("high: {grpo.beta: 0.3}", "top: {grpo.beta: 0.4}"))
    found = diff_of(told, "HEAD", "--", "specs")
    sweep = spec_of(found, "specs/sweep.yaml")
    assert sweep["variants"]["renamed"] == [["sweep-high", "sweep-top"]]
    assert changes_of(sweep) == ["grpo.beta 0.3 -> 0.4"]
    assert [s["kind"] for s in found["run"]] == ["grpo", "evaluate"]


def test_sections_that_come_and_go_and_members_of_unions(repo, told):
    write(
        base=BASE.replace(
            "sft: {steps: 3, batch: 4}", "sft: {steps: 3, batch: 4, tuner: {kind: lora, rank: 8}}"
        )
        .replace("teacher: lexicon\nfilters: {polarity_match: {}}\n", "format: direct\n")
        .replace("grpo: {steps: 2, batch: 4, beta: 0.1}\n", "")
        .replace("[sft, grpo]", "[sft]")
    )
    found = changes_of(spec_of(diff_of(told, "HEAD"), "specs/base.yaml"))
    assert found == [
        "format.kind c2f -> direct",
        "teacher lexicon -> none",
        "filters set -> none",
        "sft.tuner.kind full -> lora",
        "sft.tuner.rank none -> 8",
        "grpo set -> none",
        "evaluate.checkpoints [sft, grpo] -> [sft]",
    ]


def test_what_re_runs_nothing_says_so(repo, told):
    write(base=BASE + "description: words\ntables: []\nresources: {sft: {gpus: 1}}\n")
    code, text = told("diff", "HEAD", "--detailed-exitcode")
    assert code == 0
    assert 'description "" -> words (for people: no stage runs again)' in text
    assert "run again" not in text
    assert told("diff", "--equivalent", "HEAD")[0] == 0


def test_a_lock_that_moves_a_data_set_is_named_and_reaches_every_spec(repo, told):
    Path("specs/c2f.lock").write_text(LOCK.replace("1" * 64, "2" * 64))
    commit()
    code, text = told("diff", "HEAD~1..HEAD", "--detailed-exitcode")
    assert code == 2
    assert "data set icwsm2014-movie 1111111111 -> 2222222222" in text
    assert "2 specs change, 0 do not" in text
    assert told("diff", "--equivalent", "HEAD~1..HEAD")[0] == 4


def test_code_of_a_revision_is_its_own(repo, told):
    for folder in ("stages", "filters", "datasets"):
        (repo / "runtime" / folder).mkdir(parents=True)
    for kind in ("prepare", "distil", "filter", "sft", "grpo", "evaluate"):
        (repo / f"runtime/stages/{kind}.py").write_text("x = 1\n")
    commit()
    (repo / "runtime/stages/sft.py").write_text("# slower\nx = 1\n")
    commit()
    assert told("diff", "--equivalent", "HEAD~1..HEAD")[0] == 0
    (repo / "runtime/stages/sft.py").write_text("x = 2\n")
    commit()
    found = diff_of(told, "HEAD~1..HEAD")
    assert spec_of(found, "specs/base.yaml")["reasons"] == ["code changed: runtime/stages/sft.py"]
    assert sorted({s["kind"] for s in found["run"]}) == ["evaluate", "grpo", "sft"]
    assert "code changed: runtime/stages/sft.py\n" in told("diff", "HEAD~1..HEAD")[1]
    (repo / "runtime/stages/sft.py").write_text("x = \n")
    commit()
    broken = spec_of(diff_of(told, "HEAD~1..HEAD"), "specs/base.yaml")
    assert "runtime/stages/sft.py is not Python" in broken["problem"]


def test_accepted_code_is_no_change(repo, told):
    for kind in ("prepare", "distil", "filter", "sft", "grpo", "evaluate"):
        path = repo / f"runtime/stages/{kind}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    commit()
    (repo / "runtime/stages/sft.py").write_text("x = 2\n")
    commit()
    from c2f_spec.plan.code import SourceTree

    new = SourceTree(root=repo).digests("sft", {})["runtime/stages/sft.py"]
    old = SourceTree(root=repo).digests("grpo", {})["runtime/stages/grpo.py"]
    Path("specs/c2f.lock").write_text(
        LOCK + f"accept:\n  - {{old: {old}, new: {new}, by: mei, why: the same}}\n"
    )
    commit()
    assert told("diff", "--equivalent", "HEAD~2..HEAD")[0] == 0
    assert told("diff", "--equivalent", "HEAD~1..HEAD")[0] == 4


def test_a_spec_that_does_not_compile_is_named_and_the_others_are_compared(repo, told):
    write(
        base=BASE.replace("beta: 0.1", "beta: much"),
        more=BASE.replace("name: base", "name: more").replace("steps: 2", "steps: 3"),
    )
    found = diff_of(told, "HEAD")
    assert spec_of(found, "specs/base.yaml")["problem"].startswith("line 8: ")
    assert spec_of(found, "specs/more.yaml")["variants"]["added"] == ["more"]
    assert told("diff", "--equivalent", "HEAD")[0] == 4


def test_templates_are_no_specs(repo, told):
    Path("specs/templates").mkdir()
    Path("specs/templates/t.yaml").write_text(
        "params:\n  n: {kind: int}\n" + BASE.replace("steps: 3", 'steps: "${params.n}"')
    )
    write(made="template: templates/t.yaml\nname: made\nwith: {n: 7}\n")
    commit()
    Path("specs/templates/t.yaml").write_text(
        Path("specs/templates/t.yaml").read_text().replace("0.1", "0.2")
    )
    commit()
    found = diff_of(told, "HEAD~1..HEAD")
    assert found["invalid_on_both_sides"] == []
    assert [s["file"] for s in found["specs"]] == ["specs/made.yaml"]
    assert changes_of(found["specs"][0]) == ["grpo.beta 0.1 -> 0.2"]


def test_three_dots_compare_with_where_they_parted(repo, told):
    git("checkout", "-qb", "mine")
    write(base=BASE.replace("beta: 0.1", "beta: 0.2"))
    commit()
    git("checkout", "-q", "main")
    write(sweep=SWEEP.replace("0.3", "0.5"))
    commit()
    assert [s["file"] for s in diff_of(told, "main...mine")["specs"]] == ["specs/base.yaml"]
    assert [s["file"] for s in diff_of(told, "main..mine")["specs"]] == [
        "specs/base.yaml",
        "specs/sweep.yaml",
    ]


def test_nothing_of_the_working_tree_is_read_for_revisions(repo, told):
    write(base=BASE.replace("beta: 0.1", "beta: 0.2"))
    commit()
    write(base="not: yaml: at: all", sweep="neither: [")
    Path("specs/c2f.lock").write_text("}")
    assert changes_of(spec_of(diff_of(told, "HEAD~1..HEAD"), "specs/base.yaml")) == ["grpo.beta 0.1 -> 0.2"]


def test_links_in_a_revision_lead_nowhere(repo, told):
    outside = repo.parent / "outside.yaml"
    outside.write_text(BASE)
    os.symlink(outside, "specs/link.yaml")
    write(uses="extends: link.yaml\nname: uses\n")
    commit()
    found = diff_of(told, "HEAD~1..HEAD")
    assert [s["file"] for s in found["specs"]] == ["specs/uses.yaml"]
    assert "file `link.yaml` not found" in found["specs"][0]["problem"]


def test_a_huge_blob_is_refused_and_not_read(repo, told):
    write(huge="x: " + "y" * 600_000)
    commit()
    found = diff_of(told, "HEAD~1..HEAD")
    assert "file too large" in spec_of(found, "specs/huge.yaml")["problem"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("diff", "none..HEAD"), "git rev-parse: Needed a single revision"),
        (("diff", "--", "--output=x..HEAD"), "git rev-parse: Needed a single revision"),
        (("diff", "HEAD~1..HEAD", "--", "nowhere"), "git rev-parse"),
        (("diff", "HEAD..HEAD", "--", "nowhere"), "no specs in nowhere"),
        (("diff", "specs/base.yaml", "HEAD"), "`diff` takes one spec, two specs, or revisions"),
        (("diff", "specs/base.yaml"), "no plan of specs/base.yaml found in"),
    ],
)
def test_wrong_calls_are_told(repo, told, argv, says):
    code, text = told(*argv)
    assert code == 64
    assert says in text


def test_without_a_repository_revisions_are_refused(tmp_path, monkeypatch, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in told("diff", "a..b")[1]


def test_a_missing_object_is_told(repo):
    with Repository(repo) as found, pytest.raises(UsageError, match="git has no object 0000000000"):
        found.blob("0" * 40)


def test_a_spec_and_what_ran_of_it(repo, told):
    from c2f_spec.execution.run import save_plan
    from c2f_spec.plan.compile import compile_plan, load_environment, load_variants
    from c2f_spec.store.open import open_store

    plan = compile_plan(
        load_variants(Path("specs/base.yaml")), None, load_environment("local", repo, None), "local"
    )
    save_plan(plan, open_store(".c2f/store"))
    write(base=BASE.replace("steps: 2", "steps: 5"))
    found = diff_of(told, "specs/base.yaml")
    assert found["old"] == f"stored plan {plan.digest[:10]}"
    assert changes_of(found["specs"][0]) == ["grpo.steps 2 -> 5"]


def test_an_environment_that_moves_is_told_and_runs_nothing(repo, told):
    place = repo / "k8s" / "environments" / "mine.yaml"
    place.parent.mkdir(parents=True)
    place.write_text("c2f: v1\nkind: local\nstore: .c2f/store\nthreads: 1\ndemo: true\n")
    write(base=BASE + "environment: mine\n")
    commit()
    place.write_text(place.read_text().replace("threads: 1", "threads: 2"))
    commit()
    found = diff_of(told, "HEAD~1..HEAD")
    assert [s["environment"] for s in found["specs"]] == [["environment `mine`: threads 1 -> 2"]] * 2
    assert found["run"] == []
    text = told("diff", "HEAD~1..HEAD")[1]
    assert text.count("environment `mine`: threads 1 -> 2") == 1, "it is told once, above the specs"
    assert told("diff", "--equivalent", "HEAD~1..HEAD")[0] == 0


def test_what_compiles_on_neither_side_is_named(repo, told):
    write(part="sft: {steps: 1}\n")
    commit()
    write(part="sft: {steps: 1} # more\n")
    code, text = told("diff", "--equivalent", "HEAD")
    assert code == 0
    assert "; 1 spec invalid on both sides (specs/part.yaml)" in text
