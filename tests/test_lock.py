"""`c2f.lock`: what it may say, and that writing a pin changes one line and nothing else."""

import pytest

from c2f_spec.errors import SpecErrors
from c2f_spec.lock import Acceptance, Lock, read_lock, write_pins

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
    with pytest.raises(SpecErrors, match="accepted by an entry above"):
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
