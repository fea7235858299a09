"""Completion as a shell does it: the scripts are sourced by the shells themselves, where they are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from c2f_spec.cli.completion import (
    PLAN_OPTIONS,
    bash,
    collect_commands,
    explained,
    field_paths,
    field_settings,
    fish,
    zsh,
)

SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}
REPOSITORY = Path(__file__).parents[2]
SWEEP = """\
extends: demo.yaml
name: swept
sweep:
  ablate: {grpo.hint.hard_policy: [keep, drop]}
  variants:
    sft-only: {grpo: null}
"""


@pytest.fixture
def folder(tmp_path):
    """A repository, with the scripts and a `c2f-spec` for them to call."""
    (tmp_path / "specs").mkdir()
    shutil.copy(REPOSITORY / "specs" / "demo.yaml", tmp_path / "specs")
    shutil.copy(REPOSITORY / "specs" / "c2f.lock", tmp_path / "specs")
    (tmp_path / "specs" / "notes.txt").touch()
    (tmp_path / "k8s" / "environments").mkdir(parents=True)
    (tmp_path / "k8s" / "environments" / "a800.yaml").touch()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "c2f-spec"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m c2f_spec "$@"\n')
    program.chmod(0o755)
    for name, make in SHELLS.items():
        (tmp_path / f"c2f.{name}").write_text(make(collect_commands()))
    return tmp_path


@pytest.fixture
def swept(folder):
    (folder / "specs" / "swept.yaml").write_text(SWEEP)
    return folder


def run(folder, *command: str) -> set[str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.splitlines()) - {""}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_the_script(folder, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", folder / f"c2f.{shell}"], check=True)


def complete_bash(folder, line: str, setting: str = "") -> set[str]:
    """As readline does it: `=` and `:` are words of their own, and only what follows them is replaced."""
    words = re.findall(r"[=:]+|[^\s=:]+", line) + ([""] if line.endswith(" ") else [])
    last = words[-1].lstrip("=:")
    script = (
        f"{setting}\nsource {folder}/c2f.bash\nCOMP_WORDS=({' '.join(repr(w) for w in words)})\n"
        f"COMP_CWORD={len(words) - 1}\n_c2f_spec c2f-spec '{last}'\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    return run(folder, "bash", "-c", script)


def complete_fish(folder, line: str) -> set[str]:
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    script = f"source {folder}/c2f.fish; complete -C '{line}'"
    return {row.split("\t")[0] for row in run(folder, "fish", "--no-config", "-c", script)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("c2f-spec val", {"validate"}),
        ("c2f-spec validate specs/", {"specs/demo.yaml"}),
        ("c2f-spec validate spe", {"specs"}),
        ("c2f-spec plan specs/demo.yaml --o", {"--on", "--out", "--output", "--offline"}),
        ("c2f-spec plan specs/demo.yaml --on ", {"local", "a800"}),
        ("c2f-spec validate -o ", {"text", "json", "github", "sarif"}),
        ("c2f-spec status -o ", {"table", "json", "name"}),
        ("c2f-spec completion ", {"bash", "zsh", "fish"}),
        ("c2f-spec data ", {"add", "check", "show"}),
        ("c2f-spec data add --f", {"--from", "--fetch"}),
        ("c2f-spec --", {"--help", "--version"}),
    ],
)
def test_bash_completes(folder, line, expected):
    assert complete_bash(folder, line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("c2f-spec val", {"validate"}),
        ("c2f-spec validate specs/", {"specs/demo.yaml"}),
        ("c2f-spec plan specs/demo.yaml --on ", {"local", "a800"}),
        ("c2f-spec validate -o ", {"text", "json", "github", "sarif"}),
        ("c2f-spec data ", {"add", "check", "show"}),
    ],
)
def test_fish_completes(folder, line, expected):
    assert complete_fish(folder, line) == expected


POLICY = "grpo.hint.hard_policy"
FIELDS = [
    (f"c2f-spec explain {POLICY[:-3]}", {POLICY}),
    ("c2f-spec explain C2F20", {code for code in explained() if code.startswith("C2F20")}),
    (f"c2f-spec plan specs/demo.yaml --set {POLICY[:-3]}", {f"{POLICY}="}),
    ("c2f-spec plan specs/demo.yaml --set grpo.beta=", set()),
    ("c2f-spec plan specs/demo.yaml --set grpo.beta=0.2 --on ", {"local", "a800"}),
    (f"c2f-spec validate --set {POLICY}=keep specs/", {"specs/demo.yaml"}),
]
VALUES = [
    (f"--set {POLICY}=", ["drop", "hint", "keep"]),
    (f"--set {POLICY}=k", ["keep"]),
    ("--set grpo.hint.trigger=al", ["all_below", "always"]),
    ("--set sft=n", ["null"]),
    ("--set filters.replace_score_with_label=t", ["true"]),
]


@pytest.mark.parametrize(("line", "expected"), FIELDS)
def test_fields_are_completed(folder, line, expected):
    assert complete_bash(folder, line) == expected
    assert complete_fish(folder, line) == expected


@pytest.mark.parametrize(("words", "expected"), VALUES)
def test_values_are_completed(folder, words, expected):
    """Bash replaces what follows the `=`, unless it has been told otherwise; fish replaces the word."""
    line = f"c2f-spec apply specs/demo.yaml {words}"
    path = words.split()[1].partition("=")[0]
    assert complete_bash(folder, line) == set(expected)
    assert complete_bash(folder, line.replace("--set ", "--set=")) == set(expected)
    assert complete_fish(folder, line) == {f"{path}={value}" for value in expected}


def test_bash_that_does_not_split_at_equals_gets_the_whole_word(folder):
    def complete(word: str) -> set[str]:
        script = (
            f"source {folder}/c2f.bash; COMP_WORDS=(c2f-spec plan '{word}'); COMP_CWORD=2\n"
            f"_c2f_spec c2f-spec '{word}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        return run(folder, "bash", "-c", script)

    assert complete("--on=l") == {"--on=local"}
    assert complete(f"--set={POLICY}=k") == {f"--set={POLICY}=keep"}


@pytest.mark.parametrize("complete", [complete_bash, complete_fish])
def test_variants_and_stages_are_read_from_the_spec_on_the_line(swept, complete):
    start = "c2f-spec expand specs/swept.yaml --variant swept-"
    assert complete(swept, f"{start}s") == {"swept-sft-only"}
    hard = {"swept-hard-policy-keep", "swept-hard-policy-drop"}
    assert complete(swept, f"{start}h") == hard
    assert complete(swept, "c2f-spec expand specs/none.yaml --variant ") == set()
    stages = run(swept, "bin/c2f-spec", "plan", "specs/demo.yaml", "--offline", "-o", "name")
    for verb in ("logs", "retry", "cancel"):
        assert complete(swept, f"c2f-spec {verb} specs/demo.yaml sf") == {
            s for s in stages if s.startswith("sf")
        }
    assert complete(swept, "c2f-spec logs specs/d") == {"specs/demo.yaml"}
    (other,) = complete(swept, "c2f-spec logs specs/demo.yaml --set sft.epochs=7 sf")
    assert other not in stages  # what the line sets counts


def test_names_from_files_are_not_run(swept):
    (swept / "k8s" / "environments" / "$(touch pwned).yaml").touch()
    (swept / "specs" / "swept.yaml").write_text(SWEEP.replace("name: swept", "name: $(touch pwned)"))
    assert "$(touch pwned)-base" in run(swept, "bin/c2f-spec", "expand", "specs/swept.yaml", "-o", "name")
    assert complete_bash(swept, "c2f-spec expand specs/swept.yaml --variant ") == set()
    assert complete_bash(swept, "c2f-spec plan specs/demo.yaml --on ") == {"local", "a800"}
    assert not (swept / "pwned").exists()


def test_words_need_no_quotes():
    """They stand in quoted lists of all three shells, which bash expands once more."""
    assert [w for w in explained() + field_settings() if not re.fullmatch(r"[\w.=-]+", w)] == []
    assert {s.partition("=")[0] for s in field_settings()} <= set(field_paths())


def test_what_is_handed_on_is_an_option_of_plan():
    assert set(PLAN_OPTIONS) <= {
        o for command in collect_commands() if command.path == "plan" for o in command.options
    }


def test_every_verb_is_known_to_every_shell(folder):
    names = {command.path.split()[-1] for command in collect_commands() if command.path}
    assert {"validate", "explain", "init", "apply", "data", "add"} <= names
    assert "driver" not in names, "only machines call it"
    for shell in SHELLS:
        script = (folder / f"c2f.{shell}").read_text()
        assert all(name in script for name in names)
