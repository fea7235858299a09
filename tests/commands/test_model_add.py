"""`model add`: one copy by one digest from a folder or either hub, through every trouble on the way, pinned."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save

from c2f_spec.cli.main import main as c2f
from c2f_spec.language.lock_file import read_lock, write_pins
from c2f_spec.store import records
from c2f_spec.store.digest import digest_folder, digest_of
from c2f_spec.store.open import open_store
from runtime.commands.model import main
from tests.conftest import REPOSITORY
from tests.language.test_lock import REVISION, SPEC, STUDENT
from tests.support.fake_hub import FakeHub, serving
from tests.support.waiting import wait_until

NAME = "Qwen/Qwen2.5-Omni-7B"
PARTS = [f"model-{i:05}-of-00002.safetensors" for i in (1, 2)]
OWN = {
    ".gitattributes": b"x",
    "README.md": b"# for people",
    "spk_dict.pt": b"pickle",
    "configuration.json": b"{}",
}


def released() -> dict[str, bytes]:
    """The files of a repository as the real one has them, small."""
    drawn = np.random.default_rng(0)
    parts = {name: save({f"w{i}": drawn.random((64, 64))}) for i, name in enumerate(PARTS)}
    index = {"metadata": {}, "weight_map": {f"w{i}": name for i, name in enumerate(PARTS)}}
    small = {"config.json": {}, "tokenizer.json": {}, "model.safetensors.index.json": index}
    texts = {name: json.dumps(value).encode() for name, value in small.items()}
    return {**OWN, **texts, "merges.txt": b"#version: 0.2\n", "chat_template.jinja": b"{{ x }}", **parts}


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
STAGED = sorted(released().keys() - OWN.keys())


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving(FakeHub(NAME, REVISION, released())) as fake:
        for name, value in (fake.environment() | {"C2F_HOME": str(tmp_path / "home")}).items():
            monkeypatch.setenv(name, value)
        yield fake


def folder_of(path, files=None):
    path.mkdir()
    for name, data in (files or released()).items():
        (path / name).write_bytes(data)
    return path


def add(tmp_path, source, *more):
    return main(["add", STUDENT, "--store", str(tmp_path / "store"), "--from", str(source), *more])


def copies(tmp_path):
    return records.models_present(open_store(str(tmp_path / "store")), STUDENT)


def digest_of_released(tmp_path):
    return digest_of(digest_folder(folder_of(tmp_path / "right", {n: released()[n] for n in STAGED})))


@pytest.mark.parametrize("source", ["folder", "hf", "modelscope"])
def test_a_copy_has_one_digest_from_wherever_it_came(source, hub, tmp_path, capsys):
    given = folder_of(tmp_path / "folder") if source == "folder" else source
    assert add(tmp_path, given) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["name"], printed["files"], printed["left_out"]) == (STUDENT, len(STAGED), sorted(OWN))
    assert [printed["digest"]] == copies(tmp_path) == [digest_of_released(tmp_path)]
    found = records.fetch_model(open_store(str(tmp_path / "store")), STUDENT, printed["digest"])
    assert {p.name: p.read_bytes() for p in found.iterdir()} == {n: released()[n] for n in STAGED}
    assert not (tmp_path / "home" / "incoming" / source / NAME / REVISION).exists()


@pytest.mark.parametrize("trouble", ["cut", "busy", "whole", "flip"])
def test_a_download_survives(trouble, hub, tmp_path):
    hub.trouble = [(PARTS[0], "cut"), (PARTS[0], trouble)]
    assert add(tmp_path, "hf") == 0
    ranges = [asked for path, asked, _ in hub.asked if path.endswith(f"storage/{PARTS[0]}")]
    assert ranges[:2] == ["", f"bytes={len(hub.files[PARTS[0]]) // 2}-"]
    assert len(copies(tmp_path)) == 1


def test_a_copy_that_stays_wrong_is_refused(hub, tmp_path, capsys):
    hub.trouble = [(PARTS[0], "flip")] * 2
    assert add(tmp_path, "modelscope") == 7
    assert f"what the hub sends for {PARTS[0]} has another digest" in capsys.readouterr().err
    assert copies(tmp_path) == []


def test_a_killed_call_goes_on_where_it_was(hub, tmp_path):
    hub.trouble = [(PARTS[1], "slow")]
    argv = [sys.executable, "-m", "runtime", "model", "add", STUDENT]
    child = subprocess.Popen(
        [*argv, "--store", str(tmp_path / "store"), "--from", "hf"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    incoming = tmp_path / "home" / "incoming" / "hf" / NAME / REVISION
    part, half = incoming / f"{PARTS[1]}.part", len(hub.files[PARTS[1]]) // 2
    wait_until(lambda: part.is_file() and part.stat().st_size == half and (incoming / PARTS[0]).is_file())
    child.send_signal(signal.SIGKILL)
    child.wait()
    hub.trouble, before = [], len(hub.asked)
    assert add(tmp_path, "hf") == 0
    again = [(path.rsplit("/", 1)[1], asked) for path, asked, _ in hub.asked[before:] if "/storage/" in path]
    assert again == [(PARTS[1], f"bytes={half}-")]


def test_what_is_in_the_store_is_not_sent_twice(tmp_path, capsys):
    store = open_store(str(tmp_path / "store"))
    given = folder_of(tmp_path / "folder")
    assert add(tmp_path, given) == 0
    digest = copies(tmp_path)[0]
    base = f"models/{STUDENT.replace('@', '/')}/{digest}"
    for name in ("model.json", f"files/{PARTS[0]}"):  # as a killed call leaves it
        store.delete(f"{base}/{name}")
    capsys.readouterr()
    assert add(tmp_path, given) == 0
    assert capsys.readouterr().err.splitlines() == [f"{PARTS[0]}: 0.0 MB to the store"]
    assert copies(tmp_path) == [digest]


def test_a_token_goes_to_the_hub_and_no_further(hub, tmp_path, monkeypatch, capsys):
    hub.token = "mine"
    assert add(tmp_path, "hf") == 7
    assert "set HF_TOKEN to your token" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "mine")
    assert add(tmp_path, "hf") == 0
    assert {token for path, _, token in hub.asked if path.startswith("/storage/")} == {""}


def test_a_hub_may_call_the_revision_by_another_name(hub, tmp_path, capsys):
    hub.revision = "master"
    assert add(tmp_path, "modelscope") == 7
    assert "ModelScope lists no files: no such revision" in capsys.readouterr().err
    assert add(tmp_path, "hf") == 7
    assert "was not found on the hub" in capsys.readouterr().err
    assert add(tmp_path, "modelscope", "--at", "master") == 0
    assert len(copies(tmp_path)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({**dict.fromkeys([*PARTS, "model.safetensors.index.json"]), "pytorch_model.bin": b"x"},
         "holds pytorch_model.bin, which runs code when it is read"),
        ({PARTS[1]: None}, f"has no file {PARTS[1]}, which its index names"),
        ({"config.json": None}, "config.json is missing"),
        ({PARTS[0]: released()[PARTS[0]][:-8]}, "and should have"),
        ({PARTS[0]: b"no tensors"}, "holds no tensors"),
        ({PARTS[0]: POINTER}, "is a pointer of Git LFS"),
        ({"tokenizer.json": POINTER}, "is a pointer of Git LFS"),
        ({"config.json": b'{"model_type": '}, "config.json is not valid JSON"),
        ({"tokenizer.json": b""}, "tokenizer.json is not valid JSON"),
        ({"model.safetensors.index.json": b'{"weight_map": {"w": "a\\nb.safetensors"}}', "a\nb.safetensors": b""},
         "which no store takes"),
        ({"model.safetensors.index.json": b'{"weight_map": {"w": "../x.safetensors"}}'}, "lies elsewhere"),
    ],
)  # fmt: skip
def test_what_is_no_whole_model_in_safetensors_is_refused(change, message, tmp_path, capsys):
    files = {n: d for n, d in {**released(), **change}.items() if d is not None}
    assert add(tmp_path, folder_of(tmp_path / "folder", files)) == 64
    assert message in capsys.readouterr().err
    assert copies(tmp_path) == []


def test_files_with_names_that_no_store_takes_are_left_out(tmp_path, capsys):
    odd = "two\nlines\x1b.json"
    given = folder_of(tmp_path / "folder", {**released(), odd: b"{}"})
    (given / "sub").mkdir()
    (given / "sub" / "config.json").write_text("{}")
    assert add(tmp_path, given) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == sorted([*OWN, odd, "sub/config.json"])
    assert copies(tmp_path) == [digest_of_released(tmp_path)]


# ---- the verb


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "bare.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return tmp_path


ADD = ("model", "add", NAME, "--revision", REVISION, "--from")


def test_the_verb_pins_what_it_staged_and_refuses_a_copy_of_other_files(place, capsys):
    given = folder_of(place / "folder")
    assert c2f([*ADD, str(given)]) == 0
    digest = read_lock(place / "specs" / "c2f.lock").models[STUDENT]
    assert capsys.readouterr().out.splitlines() == [
        f"{STUDENT}: {len(STAGED)} files, 0.00 GB, digest {digest[:10]}",
        "left out: .gitattributes, README.md, configuration.json, spk_dict.pt",
        "pinned in specs/c2f.lock",
    ]
    assert c2f([*ADD, "hf"]) == 0  # asks nobody
    assert capsys.readouterr().out == f"{STUDENT}: already staged, digest {digest[:10]}\n"
    (given / "merges.txt").write_bytes(b"of another")
    assert c2f([*ADD, str(given)]) == 4
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"not pinned: specs/c2f.lock has {digest[:10]}, a copy of other files"
    assert read_lock(place / "specs" / "c2f.lock").models[STUDENT] == digest


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*ADD[:4], "main", "--from", "hf"], "is not a full commit hash"),
        (["model", "add", "../x", *ADD[3:], "hf"], "is not a repository"),
        ([*ADD, "folder", "--at", "master"], "remove it: --from is a folder"),
    ],
)
def test_the_verb_wants_a_repository_and_a_commit(argv, message, place, capsys):
    assert c2f(argv) == 64
    assert message in capsys.readouterr().err


def test_what_is_pinned_and_not_staged_is_a_warning_of_plan_and_an_error_of_apply(place, capsys):
    lock = place / "specs" / "c2f.lock"
    write_pins(lock, "datasets", {"ch-sims": "a" * 64})
    write_pins(lock, "models", {STUDENT: "b" * 64})
    assert c2f(["plan", "specs/bare.yaml"]) == 0
    printed = capsys.readouterr().err
    assert f"warning: weights not staged: `{STUDENT}`" in printed
    assert f"run c2f-spec model add {NAME} --revision {REVISION} --from DIR|hf|modelscope" in printed
    assert "warning: data set not staged: `ch-sims`" in printed
    assert c2f(["apply", "specs/bare.yaml"]) == 3
    printed = capsys.readouterr().err
    assert printed.count("[C2F420]") == 2
    assert "run c2f-spec data add ch-sims --from DIR" in printed
