"""Completion as a shell does it: the scripts are sourced by the shells themselves, where they are installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from c2f_spec.cli.completion import bash, fish, verbs, zsh

SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "demo.yaml").touch()
    (tmp_path / "specs" / "notes.txt").touch()
    (tmp_path / "k8s" / "environments").mkdir(parents=True)
    (tmp_path / "k8s" / "environments" / "a800.yaml").touch()
    for name, make in SHELLS.items():
        (tmp_path / f"c2f.{name}").write_text(make(verbs()))
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_the_script(folder, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", folder / f"c2f.{shell}"], check=True)


def complete_bash(folder, line: str) -> set[str]:
    words = line.split(" ")
    script = (
        f"source {folder}/c2f.bash\nCOMP_WORDS=({' '.join(repr(w) for w in words)})\nCOMP_CWORD={len(words) - 1}\n"
        '_c2f_spec\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("c2f-spec val", {"validate"}),
        ("c2f-spec validate specs/", {"specs/demo.yaml"}),
        ("c2f-spec validate spe", {"specs"}),
        ("c2f-spec plan specs/demo.yaml --o", {"--on", "--output", "--offline"}),
        ("c2f-spec plan specs/demo.yaml --on ", {"local", "a800"}),
        ("c2f-spec validate -o ", {"text", "json", "github", "sarif"}),
        ("c2f-spec status -o ", {"table", "json", "name"}),
        ("c2f-spec completion ", {"bash", "zsh", "fish"}),
        ("c2f-spec data ", {"add"}),
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
        ("c2f-spec data ", {"add"}),
    ],
)
def test_fish_completes(folder, line, expected):
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    script = f"source {folder}/c2f.fish; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == expected


def test_every_verb_is_known_to_every_shell(folder):
    names = {verb.path.split()[-1] for verb in verbs() if verb.path}
    assert {"validate", "explain", "init", "apply", "data", "add"} <= names
    for shell in SHELLS:
        script = (folder / f"c2f.{shell}").read_text()
        assert all(name in script for name in names)
