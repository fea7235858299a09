"""The comment on a pull request, against servers that answer as GitHub and GitLab do, over HTTP."""

import re

import pytest

from c2f_spec.cli import pull_request_comment
from c2f_spec.cli.comment_output import Table, render_comment
from tests.support.forge import MERGED, SHA, Forge, serving

BODY = "<!-- c2f-spec:diff -->\n### main → head\n\n3 stages run.\n"
NOTHING = "<!-- c2f-spec:diff -->\n### main → head: nothing changes\n"


@pytest.fixture(params=["github", "gitlab"])
def forge(request, monkeypatch):
    found = Forge(request.param == "gitlab")
    monkeypatch.delenv("GITLAB_CI", raising=False)
    with serving(found) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def put(tmp_path):
    def run(body, *argv):
        (tmp_path / "body.md").write_text(body)
        return pull_request_comment.main(["post", str(tmp_path / "body.md"), *(argv or ("--number", "7"))])

    return run


def test_one_comment_is_made_updated_left_alone_and_taken_away(forge, put):
    forge.add("hello", mine=False)
    assert put(BODY) == 0
    assert forge.bodies == ["hello", BODY]
    writes = forge.asked.total() - forge.asked["GET"]
    put(BODY)
    assert forge.asked.total() - forge.asked["GET"] == writes, "nothing is written for the same words"
    put(BODY.replace("3", "4"))
    assert forge.bodies == ["hello", BODY.replace("3", "4")]
    put(NOTHING)
    assert forge.bodies == ["hello"]
    put(NOTHING)
    assert forge.bodies == ["hello"]


def test_ours_is_known_by_its_author_and_its_marker(forge, put):
    forge.add(BODY, mine=False)
    forge.add(BODY.replace("c2f-spec:diff", "c2f-spec:plan"))
    for i in range(120):
        forge.add(f"talk {i}", mine=False)
    forge.add(BODY.replace("\n", "\r\n"))
    put(BODY.replace("3", "5"))
    assert len(forge.bodies) == 123
    assert forge.bodies[0] == BODY
    assert forge.bodies[-1] == BODY.replace("3", "5")


def test_a_second_one_of_ours_is_taken_away(forge, put):
    forge.add(BODY)
    forge.add(BODY)
    put(BODY.replace("3", "6"))
    assert forge.bodies == [BODY.replace("3", "6")]


def test_a_server_that_fails_for_a_moment_is_called_again(forge, put):
    forge.failing = [429, 502]
    assert put(BODY) == 0
    assert forge.bodies == [BODY]


def test_what_is_refused_is_reported_without_the_token(forge, put, capsys, monkeypatch):
    forge.failing = [403]
    assert put(BODY) == 7
    assert "403" in capsys.readouterr().err
    monkeypatch.setenv("C2F_COMMENT_TOKEN" if forge.gitlab else "GITHUB_TOKEN", "another")
    assert put(BODY) == 7
    said = capsys.readouterr().err
    assert "the token is not valid" in said
    assert "another" not in said


def test_a_token_follows_no_redirect(forge, put, capsys):
    forge.failing = [302]
    assert put(BODY) == 7
    assert "302" in capsys.readouterr().err


@pytest.mark.parametrize(
    "body", ["no marker\n", "<!-- c2f-spec:diff --> more\ntext\n", f"{BODY}{'x' * 65_536}"]
)
def test_what_is_no_comment_of_ours_is_not_posted(forge, put, body):
    assert put(body) == 64
    assert not forge.comments


def test_the_digests_that_were_reviewed_are_read_back(forge, put, capsys):
    digest = "1" * 64
    forge.add(f'{BODY}<!-- c2f-spec:plans {{"specs/a b.yaml": "{digest}", "x": "$(id)"}} -->\n')
    forge.add(f'{BODY}<!-- c2f-spec:plans {{"specs/mallory.yaml": "{digest}"}} -->\n', mine=False)
    assert (
        pull_request_comment.main(
            ["reviewed", "--sha", MERGED] if not forge.gitlab else ["reviewed", "--number", "7"]
        )
        == 0
    )
    assert capsys.readouterr().out == f'{digest} "specs/a b.yaml"\n'


def test_the_pull_request_is_found_by_its_commit(forge, put, capsys):
    if forge.gitlab:
        assert put(BODY, "--sha", MERGED) == 0
    else:
        assert put(BODY, "--head", "mei:a branch", "--sha", SHA) == 0
    assert forge.bodies == [BODY]
    other = ("--sha", "d" * 40) if forge.gitlab else ("--head", "mei:a branch", "--sha", "d" * 40)
    assert put(BODY, *other) == 0
    assert forge.bodies == [BODY]
    assert "no pull request has this commit" in capsys.readouterr().err


def test_a_heading_alone_has_no_content_and_a_table_has_content():
    assert not pull_request_comment.has_content(render_comment("diff", ["### a → b: nothing changes"]))
    assert pull_request_comment.has_content(
        render_comment("diff", ["### a → b", Table(("Stage",), [("sft",)])])
    )
    assert re.fullmatch(pull_request_comment.MARKER, render_comment("diff", ["x"]).splitlines()[0])


def test_without_the_variables_of_a_job_they_are_named(monkeypatch, capsys, tmp_path):
    for name in ("GITLAB_CI", "GITHUB_TOKEN", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    assert pull_request_comment.main(["post", str(tmp_path / "x"), "--number", "1"]) == 64
    assert "GITHUB_TOKEN is not set" in capsys.readouterr().err
