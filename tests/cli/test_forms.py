"""A plan as a comment and as a chart: sizes, escapes, folding."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from c2f_spec.cli import comment_output, plan_output
from c2f_spec.cli.plan_output import as_markdown, describe_counts
from c2f_spec.plan.keys import ExperimentSource, build_plan
from tests.conftest import load_spec
from tests.plan.test_plan import HERE_ENVIRONMENT, PINS

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture(scope="module")
def plan():
    sources = [load_spec(SPECS / "demo.yaml", [f"name=beta-{i}", f"grpo.beta=0.{i}"]) for i in (1, 2)]
    made = build_plan(
        [ExperimentSource(s.experiment, s.source) for s in sources], PINS, HERE_ENVIRONMENT, "here"
    )
    done = ("prepare", "distil", "filter", "sft")
    stages = (
        replace(s, action="reuse" if s.kind in done else "run", reason="" if s.kind in done else "never run")
        for s in made.stages
    )
    return replace(made, stages=tuple(stages))


def test_a_plan_is_printed_as_reviewed(plan, golden, capsys):
    from c2f_spec.cli.plan_output import print_plan

    print_plan(plan)
    golden("plan/two.txt", masked(capsys.readouterr().out))
    golden("plan/two.md", masked(as_markdown(plan)))
    golden("plan/two.mermaid", masked(plan_output.as_mermaid(plan)) + "\n")


def masked(text: str) -> str:
    """Without keys, which hold the runtime's code."""
    return re.sub(r"\b[0-9a-f]{10}([0-9a-f]{54})?\b", "0123456789", text)


def test_the_counts_say_what_is_shared(plan):
    assert describe_counts(plan) == "2 variants, 42 instances, 26 unique, 7 stored, 19 to run"
    unknown = replace(plan, stages=tuple(replace(s, action="unknown") for s in plan.stages))
    assert describe_counts(unknown) == "2 variants, 42 instances, 26 unique, the store was not read"


def test_a_comment_has_a_largest_size_and_counts_what_it_leaves_out():
    rows = [(f"stage-{i}", "w" * 300) for i in range(1000)]
    text = comment_output.render_comment(
        "plan",
        [
            "### Head",
            comment_output.Table(("A", "B"), rows),
            comment_output.Table(("A", "B"), rows[:5], "folded"),
        ],
    )
    assert len(text.encode()) <= comment_output.MAX_BYTES
    assert text.startswith("<!-- c2f-spec:plan -->\n### Head\n")
    shown = text.count("| stage-")
    assert f"… and {1000 - shown + 5:,} more" in text or f"… and {1005 - shown - 5:,} more" in text
    assert "w" * 197 + "..." in text
    assert "w" * 201 not in text
    assert MarkdownIt().enable("table").render(text).count("<table>") >= 1


def test_a_chart_of_many_stages_is_one_of_kinds(plan):
    copies = [replace(s, key=f"{i}{s.key[1:]}") for i in "wxyz" for s in plan.stages]
    chart = plan_output.as_mermaid(replace(plan, stages=(*plan.stages, *copies)))
    assert 'prepare-reuse["20 of prepare<br/>reuse"]:::reuse' in chart
    assert "filter-reuse --> sft-reuse" in chart


def test_nothing_in_a_label_of_a_chart_is_syntax():
    assert plan_output.escape_label('"]; click a "javascript:x" `b` <b>#') == (
        "#34;#93;#59; click a #34;javascript#58;x#34; #96;b#96; #60;b#62;#35;"
    )


def test_a_table_of_very_many_stages_is_one_of_what_they_do(plan, capsys):
    from c2f_spec.cli.plan_output import print_plan

    copies = [
        replace(s, key=f"{i:02d}{s.key[2:]}", reason=f"grpo.beta 0.1 -> 0.{i}" if s.action == "run" else "")
        for i in range(10, 20)
        for s in plan.stages
    ]
    print_plan(replace(plan, stages=(*plan.stages, *copies)))
    lines = capsys.readouterr().out.splitlines()
    assert "= reuse  11      distil chains of thought" in [line.rstrip() for line in lines]
    assert any(line.endswith("never run (and 10 other reasons)") for line in lines)
    assert len(lines) < 40
