"""What a stranger writes into specs, file names and descriptions acts nowhere: comment, terminal, log, annotations."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from c2f_spec.cli import comment_output, plan_output
from c2f_spec.cli.main import main
from c2f_spec.diagnostics.render import json_text
from c2f_spec.errors import sanitize
from c2f_spec.report.markup import inline, line
from tests.diff.test_diff import BASE, LOCK, commit, git

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "--> <!-- c2f-spec:diff -->",
    "</details></sub><h1>x",
    "[x](javascript:alert(1)) ![i](http://evil.example/x.png)",
    "[![b]](https://evil.example) <https://evil.example>",
    "https://evil.example www.evil.example mailto:a@evil.example",
    "@everyone @org/team a@b",
    "#1 org/repo#2 GH-3 !4 %5 ~6 &7 $8 ^9",
    "| a | b |",
    "```mermaid",
    "`code` **bold** __bold__ ~~no~~ $$x$$",
    "# head",
    "- [ ] task",
    "/close /label ~x",
    "::error file=a.yaml,line=1::taken over",
    "  ::add-mask::x",
    "##[add-path]/tmp/evil ##vso[task.setvariable variable=x]y",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m",
    "\u202egnp.exe \u2066x",
    "a\r\n::error::b\nc",
    "\x00\x08\x7f",
]
WHOLE = " ".join(PAYLOADS)
ALLOWED_HTML = re.compile(
    r"</?(details|summary|sub|code)>|<!-- c2f-spec:(diff|plan) -->|<!-- c2f-spec:plans [^<>]* -->"
)


def harmless_on_a_terminal(text: str) -> None:
    for row in text.split("\n"):
        assert row.isprintable(), repr(row)
        assert not row.strip().startswith("::"), row
        assert not re.search(r"##\w*\[", row), row


def harmless_in_markdown(text: str) -> None:
    assert len(text.encode()) <= comment_output.MAX_BYTES
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
    flat = [c for t in tokens for c in (t, *(t.children or ()))]
    kinds = {t.type for t in flat}
    assert not kinds & {"link_open", "image", "code_inline", "fence", "code_block", "hr"}, kinds
    for t in flat:
        if t.type in ("html_inline", "html_block"):
            assert not ALLOWED_HTML.sub("", t.content).strip().startswith("<") or "<summary>" in t.content
            for tag in re.findall(r"<[^>]*>", t.content):
                assert ALLOWED_HTML.fullmatch(tag), tag
        if t.type == "text":
            assert not re.search(r"@\w|(?<!\w)[#!~%$^]\w|\w#\d|GH-\d|&\d|https?:|www\.", t.content), t.content
    assert len(re.findall(r"<!-- c2f-spec:(?!plans)", text)) == 1
    assert not any(row.startswith("/") for row in text.split("\n"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_each_form_has_its_escape(payload):
    harmless_on_a_terminal(sanitize(payload))
    harmless_on_a_terminal(json_text({"x": payload, payload: [payload]}))
    assert json.loads(json_text({"x": payload, payload: [payload]})) == {"x": payload, payload: [payload]}
    harmless_in_markdown(
        comment_output.render_comment(
            "plan", [line(payload), comment_output.Table(("A",), [(payload,)], payload)]
        )
    )
    assert re.fullmatch(r"(?:[A-Za-z0-9 ._\-/,()]|#\d+;)*", plan_output.escape_label(payload))
    assert inline(payload).isascii() or "\u202e" not in inline(payload)


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A repository with a pull request that means harm, by every way in that a spec has."""
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    Path("specs").mkdir()
    Path("specs/c2f.lock").write_text(LOCK)
    Path("specs/base.yaml").write_text(BASE)
    git("init", "-q", "-b", "main")
    commit()
    text = json.dumps(WHOLE, ensure_ascii=True)
    Path("specs/base.yaml").write_text(
        BASE.replace("beta: 0.1", "beta: 0.2")
        + f"description: {text}\nhypothesis: {{metric: MAE, direction: lower, min_effect: 0.1, baseline: base}}\n"
    )
    for i, payload in enumerate(PAYLOADS):
        name = payload.replace("/", "\u2215").replace("\x00", "")[:60]
        Path(f"specs/{name}{i}.yaml").write_text(BASE.replace("name: base", f"name: n{i}"))
        Path(f"specs/broken {name}{i}.yaml").write_text(
            f"c2f: v1\n{json.dumps(payload)}: 1\nsft: {json.dumps(payload)}\n"
        )
    Path("specs/long.yaml").write_text(
        BASE.replace("name: base", "name: long") + f"description: {json.dumps('@x #1 ' * 17_000)}\n"
    )
    commit()
    return tmp_path


def called(capfd, *argv: str) -> str:
    main(list(argv))
    out = capfd.readouterr()
    return out.out + out.err


def test_nothing_of_a_pull_request_acts(hostile, capfd):
    harmless_on_a_terminal(called(capfd, "diff", "main~1..main"))
    harmless_on_a_terminal(called(capfd, "diff", "main~1..main", "-o", "json"))
    harmless_in_markdown(called(capfd, "diff", "main~1..main", "-o", "markdown"))
    harmless_on_a_terminal(called(capfd, "diff", "--equivalent", "main~1..main"))
    for spec in sorted(Path("specs").glob("*.yaml")):
        harmless_on_a_terminal(called(capfd, "plan", "--offline", "--", str(spec)))
    for form in ("json", "mermaid", "name"):
        harmless_on_a_terminal(
            called(capfd, "plan", "specs/base.yaml", "specs/long.yaml", "--offline", "-o", form)
        )
    main(["plan", "specs/base.yaml", "specs/long.yaml", "--offline", "-o", "markdown"])
    harmless_in_markdown(capfd.readouterr().out)


def test_annotations_end_where_they_should(hostile, capfd):
    for spec in sorted(Path("specs").glob("broken *.yaml")):
        main(["validate", str(spec), "-o", "github"])
        out = capfd.readouterr().out
        rows = out.rstrip("\n").split("\n")
        assert all(re.match(r"::(error|warning|notice) file=[^:]*,line=\d+,col=\d+", row) for row in rows), (
            out
        )
        assert all(row.isprintable() for row in rows), rows


def test_a_branch_may_have_a_name_that_means_harm(hostile, capfd):
    subprocess.run(["git", "branch", "a;`id`$(id)@team#1<b>"], check=True)
    harmless_in_markdown(called(capfd, "diff", "main~1..a;`id`$(id)@team#1<b>", "-o", "markdown"))


HOSTILE_CODE = {
    "parentheses": "(" * 200_000,
    "signs": "x = " + "-" * 200_000 + "1",
    "brackets": "x = " + "[" * 5_000 + "]" * 5_000,
    "digits": "x = " + "9" * 900_000,
    "a NUL": "x = 1\x00",
    "not UTF-8": "x = '\udc80'",
    "attributes": "x" + ".y" * 400_000,
    "too large": "x = 1\n" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE_CODE)
def test_hostile_code_of_a_revision_is_read_and_refused(tmp_path, name):
    """In a process of its own: a parser that dies takes nothing with it."""
    folder = tmp_path / "runtime" / "stages"
    folder.mkdir(parents=True)
    (folder / "sft.py").write_bytes(HOSTILE_CODE[name].encode("utf-8", "surrogateescape"))
    script = (
        "import sys, resource\nfrom pathlib import Path\nfrom c2f_spec.plan.code import SourceTree\n"
        "from c2f_spec.errors import InvalidSpec\n"
        "try:\n    SourceTree(root=Path(sys.argv[1])).digests('sft', {})\nexcept InvalidSpec as error:\n    print(error.message[:200])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-500:]
    lines = done.stdout.splitlines()
    assert lines[0].startswith("runtime/stages/sft.py is not Python")
    assert int(lines[-1]) < 1500
