"""No room, no right to write: said in words, before a stage has taken anything."""

from __future__ import annotations

import os
import resource
import shutil
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from c2f_spec.errors import StageExit, Unreachable
from c2f_spec.spec.handoff import StageFile
from c2f_spec.store.cache import fetch_verified
from c2f_spec.store.open import open_store
from runtime.process.supervise import supervise


class Usage(NamedTuple):
    """As `shutil.disk_usage` tells it."""

    total: int
    used: int
    free: int


@contextmanager
def files_of_at_most(size: int):
    """As a quota or a full disk has it: writing more fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_part_of_an_object(tmp_path):
    objects = open_store(str(tmp_path / "store"))
    with files_of_at_most(1000), pytest.raises(Unreachable, match="cannot write `a`") as caught:
        objects.create("a", bytes(5000))
    assert "space left" in caught.value.hint
    assert objects.read("a") is None
    (tmp_path / "weights").write_bytes(bytes(5000))
    with files_of_at_most(1000), pytest.raises(Unreachable, match="cannot write `w`"):
        objects.put_file(tmp_path / "weights", "w")
    assert list((tmp_path / "store").iterdir()) == [], "what is left of a try would keep the disk full"
    assert objects.create("a", b"later")


def test_inputs_that_do_not_fit_are_told_before_any_is_fetched(url_of, tmp_path, monkeypatch):
    objects = open_store(url_of("seaweed"))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "weights").write_bytes(os.urandom(2_000_000))
    layout = objects.put_folder(folder, "work/a")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 1_000_000))
    with pytest.raises(Unreachable, match=r"need 0.0 GB and .* has 0.0 GB free") as caught:
        fetch_verified(objects, "work/a", layout, None, "")
    assert "C2F_CACHE" in caught.value.hint
    monkeypatch.undo()


def test_the_least_recently_used_goes_first(url_of, tmp_path, monkeypatch):
    objects = open_store(url_of("seaweed"))
    monkeypatch.setenv("C2F_CACHE_GB", "0.0025")
    layouts = {}
    for name in "abc":
        folder = tmp_path / name
        folder.mkdir()
        (folder / "weights").write_bytes(os.urandom(1_000_000))
        layouts[name] = objects.put_folder(folder, f"work/{name}")
    views = {name: fetch_verified(objects, f"work/{name}", layouts[name], None, "") for name in "abac"}
    blobs = {p.name for p in (tmp_path / "home" / "cache" / "blobs").glob("*/*")}
    assert blobs == {layouts[name]["weights"].blake3 for name in "ac"}
    assert (views["b"] / "weights").stat().st_size == 1_000_000, "who uses it keeps it"


@pytest.mark.parametrize("obstacle", ["file", "full"])
def test_a_stage_without_scratch_says_so_and_is_tried_again(tmp_path, capsys, monkeypatch, obstacle):
    scratch = tmp_path / "scratch"
    if obstacle == "file":
        (tmp_path / "file").write_text("where a folder should be")
        scratch = tmp_path / "file" / "scratch"
    else:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 1_000_000))
    file = StageFile(
        kind="prepare",
        key="k" * 64,
        name="p",
        preimage={},
        store=str(tmp_path / "store"),
        scratch=str(scratch),
    )
    path = tmp_path / "stage.json"
    path.write_text(file.model_dump_json())
    assert supervise(path, lock=tmp_path / "lock") == StageExit.TRANSIENT
    told = capsys.readouterr().out
    assert str(scratch) in told
    assert "hint: make room" in told
