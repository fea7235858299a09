"""Policy: every rule is told with its line, kept or broken, and `apply` runs nothing that is denied."""

import json
from pathlib import Path

import pytest

from c2f_spec.cli.main import main
from c2f_spec.cli.plan_output import as_markdown, describe_decisions
from c2f_spec.diagnostics.diagnostic import SpecErrors
from c2f_spec.errors import InvalidSpec
from c2f_spec.plan.compile import load_environment, load_variants
from c2f_spec.plan.costs import with_costs
from c2f_spec.plan.keys import ExperimentSource, build_plan
from c2f_spec.policy.check import PlannedUse, check_policy
from c2f_spec.policy.load import load_policy
from c2f_spec.store import ledger
from c2f_spec.store.open import open_store
from tests.plan.test_plan import PINS
from tests.store.test_ledger import account, entry

ROOT = Path(__file__).parents[2]
HEAD = "c2f: v1\nkind: policy\nname: site\n"


@pytest.fixture(scope="module")
def paper():
    """18 to 83 GPU-hours of eight variants on the pool a800."""
    loaded = load_variants(ROOT / "specs" / "paper.yaml")
    sources = [ExperimentSource(item.experiment, item.source) for item in loaded]
    return with_costs(build_plan(sources, PINS, load_environment("a800", ROOT, None), "a800"))


def verdicts(tmp_path, text: str, plan, *, spent=(), user="ada"):
    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + text)
    return check_policy(load_policy(path, tmp_path), PlannedUse(plan, user, "2026-11", spent))


@pytest.mark.parametrize(
    ("rules", "rule", "line", "says"),
    [
        ("limits: {plan: {gpu_hours: 50}}", "limits.plan.gpu_hours", 4, "83 GPU-hours at most (estimated), the limit is 50"),
        ("counts: low\nlimits: {plan: {gpu_hours: 10}}", "limits.plan.gpu_hours", 5, "18 GPU-hours at least"),
        ("limits: {plan: {variants: 7}}", "limits.plan.variants", 4, "8 variants, the limit is 7"),
        ("limits: {plan: {stages: 42}}", "limits.plan.stages", 4, "43 stages to run, the limit is 42"),
        ("limits: {user: {month: 90}}", "limits.user.month", 4, "user ada would come to 95 GPU-hours in 2026-11, 12.0 spent"),
        ("limits: {user: {total: 100}}", "limits.user.total", 4, "103 GPU-hours in all, 20.0 spent"),
        ("limits: {project: {month: 80}}", "limits.project.month", 4, "project default would come to 83"),
        ("limits: {projects: {default: {month: 80}}}", "limits.projects.default.month", 4, "project default"),
        ("limits: {everyone: {total: 110}}", "limits.everyone.total", 4, "everyone would come to 113"),
        ("allow: {pools: [h100*]}", "allow.pools", 4, "not allowed pools: cpu, a800"),
        ("allow: {registries: [docker.io]}", "allow.registries", 4, "registry.example.org/c2f/runtime"),
        ("allow: {datasets: [cmu-*]}", "allow.datasets", 4, "not allowed datasets: ch-sims, ch-sims-v2"),
        ("allow: {models: [Qwen/Qwen2.5-*]}", "allow.models", 4, "Qwen/Qwen3-Omni-30B-A3B-Instruct"),
        ("fixed:\n  grpo.beta: 0.2", "fixed.grpo.beta", 5, "grpo.beta is 0.1 in paper-sims, paper-mosi"),
        ("fixed: {teacher.label_visibility: full}", "fixed.teacher.label_visibility", 4, "is blind in"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_with_its_line_and_a_way_out(tmp_path, paper, rules, rule, line, says):
    spent = [
        entry("x", hours=12, account=account(project="mosi")),
        entry("y", hours=8, started="2026-10-31T23:00:00+00:00"),
        entry("z", hours=10, account=account(user="eve")),
    ]
    (found,) = [v for v in verdicts(tmp_path, rules, paper, spent=spent) if v.outcome == "broken"]
    assert found.rule == rule
    assert found.where.startswith(f"{tmp_path}/policy.yaml:{line}:")
    assert says in found.detail
    assert found.hint


@pytest.mark.parametrize(
    "rules",
    [
        "limits: {plan: {gpu_hours: 84, variants: 8, stages: 43}}",
        "limits: {user: {month: 100}, everyone: {month: 100}, project: {month: 1}, projects: {default: {month: 84}}}",
        "allow: {pools: [a800, cpu], registries: [registry.example.org/c2f], datasets: ['*'], models: [Qwen/*]}",
        "allow: {registries: [registry.example.org]}",
        "fixed: {grpo.beta: 0.1, grpo.generations: 4, sft.tuner.rank: 64, teacher.label_visibility: blind}",
        "fixed: {filters.judge.min_score: 4, evaluate.decoding.temperature: 0}",
    ],
)
def test_rules_that_are_kept_are_told_as_kept(tmp_path, paper, rules):
    found = verdicts(tmp_path, rules, paper)
    assert found
    assert {v.outcome for v in found} == {"kept"}
    assert describe_decisions(found) == [f"policy: {len(found)} kept of {len(found)} rules"]


def test_every_level_holds_and_none_allows_what_one_above_does_not(tmp_path, paper):
    (tmp_path / "site.yaml").write_text(HEAD + "limits: {plan: {gpu_hours: 50}}\n")
    found = verdicts(tmp_path, "above: site.yaml\nlimits: {plan: {gpu_hours: 500}}", paper)
    assert [(v.outcome, v.where.split("/")[-1].split(":")[0]) for v in found] == [
        ("kept", "policy.yaml"),
        ("broken", "site.yaml"),
    ]


def test_budgets_are_not_checked_where_the_ledger_was_not_asked(tmp_path, paper):
    found = verdicts(tmp_path, "limits: {user: {month: 1}}", paper, spent=None)
    assert [(v.outcome, v.rule) for v in found] == [("unchecked", "limits.user.month")]
    assert describe_decisions(found)[0].startswith("not checked: ")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("above: policy.yaml", "C2F471"),
        ("fixed: {grpo.betta: 1}", "C2F472"),
        ("fixed: {grpo.beta: much}", "C2F473"),
        ("limits: {plan: {gpu_hour: 1}}", "C2F201"),
    ],
)
def test_a_wrong_policy_is_refused_at_its_line(tmp_path, paper, text, code):
    with pytest.raises(SpecErrors) as caught:
        verdicts(tmp_path, text, paper)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_nothing_of_a_file_outside_of_the_repository_is_told(tmp_path, paper):
    """A pull request may name any file as its policy."""
    (tmp_path / "repository").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("token: hunter2\n")
    (tmp_path / "repository" / "link.yaml").symlink_to(secret)
    for path in (secret, tmp_path / "repository" / ".." / "secret", tmp_path / "repository" / "link.yaml"):
        with pytest.raises(InvalidSpec) as caught:
            load_policy(path, tmp_path / "repository")
        assert caught.value.code == "C2F474"
        assert "hunter2" not in str(caught.value)
        assert "token" not in str(caught.value)
    secret.write_text(f"{HEAD}limits: {{plan: {{stages: 1}}}}\n")
    assert load_policy(secret, tmp_path / "repository")[0].policy.limits.plan.stages == 1
    with pytest.raises(InvalidSpec, match="no such file"):
        load_policy(Path("/dev/zero"), tmp_path)


def test_a_policy_in_a_comment_is_escaped(tmp_path, paper):
    found = verdicts(tmp_path, "allow: {datasets: ['<img src=x>', '@all']}", paper)
    text = as_markdown(paper, found)
    assert "<img" not in text
    assert "denied" in text


def test_the_shipped_policy_allows_the_paper_on_the_shipped_cluster(paper):
    levels = load_policy(ROOT / paper.environment.policy, ROOT)
    found = check_policy(levels, PlannedUse(paper, "ada", "2026-11", ()))
    assert len(found) == 10
    assert {v.outcome for v in found} == {"kept"}


# ---- the command

ENVIRONMENT = "c2f: v1\nkind: local\nstore: .c2f/store\ndemo: true\npolicy: policy.yaml\n"


def test_what_is_denied_is_planned_with_exit_6_and_not_run(repository, tiny_spec, capsys):
    (repository / "local.yaml").write_text(ENVIRONMENT)
    (repository / "policy.yaml").write_text(f"{HEAD}limits: {{plan: {{stages: 2}}}}\nfixed: {{seed: 7}}\n")
    place = ("--environments", ".")
    assert main(["plan", "specs/tiny.yaml", *place]) == 6
    shown = capsys.readouterr().out.splitlines()
    assert shown[-5].startswith("denied: policy.yaml:4:25: ")
    assert shown[-5].endswith(
        "policy.yaml:4:25: the plan has 3 stages to run, the limit is 2 [limits.plan.stages]"
    )
    assert shown[-1] == "policy: 2 broken of 2 rules"
    assert main(["plan", "specs/tiny.yaml", *place, "-o", "json"]) == 6
    assert [v["rule"] for v in json.loads(capsys.readouterr().out)["policy"]] == [
        "limits.plan.stages",
        "fixed.seed",
    ]
    assert main(["apply", "specs/tiny.yaml", *place]) == 6
    assert "denied by 2 rules of the policy" in capsys.readouterr().err
    assert not list((repository / ".c2f" / "store").glob("plans/*"))


def test_a_budget_is_held_against_the_ledger(repository, tiny_spec, capsys):
    """What has no GPU-hours takes nothing of a budget, whatever was spent."""
    (repository / "local.yaml").write_text(ENVIRONMENT)
    (repository / "policy.yaml").write_text(f"{HEAD}limits: {{everyone: {{total: 1}}}}\n")
    ledger.add(open_store(str(repository / ".c2f" / "store")), entry(hours=5))
    assert main(["plan", "specs/tiny.yaml", "--environments", "."]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "policy: 1 kept of 1 rules"


def test_a_folder_for_git_is_not_written_against_the_policy(tmp_path, monkeypatch, capsys):
    """What stands in it is started without `apply`."""
    monkeypatch.chdir(ROOT)
    rules = tmp_path / "policy.yaml"
    rules.write_text(f"{HEAD}limits: {{plan: {{stages: 1}}}}\n")
    kind = (ROOT / "c2f_spec" / "environments" / "kind.yaml").read_text()
    (tmp_path / "kind.yaml").write_text(f"{kind}policy: {rules}\n")
    call = ["render", "specs/smoke.yaml", "--on", "kind", "--environments", str(tmp_path)]
    assert main([*call, "--gitops", "--out-dir", str(tmp_path / "out")]) == 6
    assert "[limits.plan.stages]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*call, "--out-dir", str(tmp_path / "out")]) == 0, "what `apply` would make may be looked at"
