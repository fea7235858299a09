"""A record stands only for whole files, one attempt wins, and damage is told, not read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from c2f_spec.errors import Unreachable
from c2f_spec.spec.handoff import Record
from c2f_spec.store import records
from c2f_spec.store.digest import digest_file, digest_folder, digest_of
from c2f_spec.store.open import open_store


@pytest.fixture
def objects(tmp_path):
    return open_store(str(tmp_path / "store"))


def attempt(tmp_path, objects, name: str, text: str = "x") -> Record:
    out = tmp_path / f"out-{name}"
    out.mkdir()
    (out / "a.txt").write_text(text)
    record = Record(
        kind="sft",
        key="k" * 64,
        attempt=name,
        nonce=name,
        files=digest_folder(out),
        summary={},
        provenance={},
    )
    return records.commit(objects, record, out)


OTHER_DISK = Path("/dev/shm")
"""Memory, which every Linux has as a file system of its own."""


def copied(objects, source, into):
    """The script of a process that copies `source` into the store, as a file or as a folder."""
    verb = "put_folder" if source.is_dir() else "put_file"
    place = f"from pathlib import Path; from c2f_spec.store.open import open_store; o = open_store({objects.url!r})"
    return [sys.executable, "-c", f"{place}; o.{verb}(Path({str(source)!r}), {into!r})"]


@pytest.mark.skipif(not OTHER_DISK.is_dir(), reason="no second file system")
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_copy_left_is_written_over(kind, tmp_path):
    """A folder is copied only from another disk. The process is stopped by SIGKILL when a part of it is there."""
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as elsewhere:
        store = tmp_path / "store"
        source = Path(elsewhere) / "w"
        large = source / "large" if kind == "folder" else source
        large.parent.mkdir(exist_ok=True)
        large.write_bytes(bytes(range(256)) * (1 << 19))
        before = digest_file(large)
        objects, part = open_store(str(store)), store / "m" / "w.part"
        child = subprocess.Popen(copied(objects, source, "m/w"))
        while not any(path.stat().st_size for path in (part, part / "large") if path.is_file()):
            assert child.poll() is None, "it was copied before it could be killed"
        child.kill()
        child.wait()
        subprocess.run(copied(objects, source, "m/w"), check=True)
        place = store / "m" / "w" / "large" if kind == "folder" else store / "m" / "w"
        assert digest_file(place).same_content(before)
        assert [path.name for path in (store / "m").iterdir()] == ["w"]


def test_an_object_is_created_once(objects):
    assert objects.create("a/b.json", b"1")
    assert not objects.create("a/b.json", b"2")
    assert objects.read("a/b.json") == b"1"
    assert objects.read("a/c.json") is None
    assert objects.read("a/b.json/c") is None
    assert list(objects.names("a")) == ["a/b.json"]


def test_of_many_creators_one_wins_and_no_reader_sees_a_part(objects):
    won, sizes = [], set()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            data = objects.read("x")
            sizes.add(len(data) if data is not None else None)

    reader = threading.Thread(target=look)
    reader.start()
    writers = [
        threading.Thread(
            target=lambda i=i: won.append(i) if objects.create("x", bytes([i]) * 300_000) else None
        )
        for i in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert len(won) == 1
    assert sizes <= {None, 300_000}
    assert not list(objects.root.rglob("*.part"))


def test_the_second_attempt_gets_the_first_ones_record(tmp_path, objects):
    first = attempt(tmp_path, objects, "first")
    second = attempt(tmp_path, objects, "second", "y")
    assert second.nonce == first.nonce == "first"
    assert (records.fetch(objects, second) / "a.txt").read_text() == "x"


def test_a_changed_or_missing_file_is_named(tmp_path, objects):
    record = attempt(tmp_path, objects, "first")
    path = records.fetch(objects, record) / "a.txt"
    path.write_text("y")
    with pytest.raises(Unreachable, match="a.txt was changed"):
        records.fetch(objects, record)
    assert records.files_present(objects, record)  # same size: only the digest tells
    path.unlink()
    with pytest.raises(Unreachable, match="a.txt is missing"):
        records.fetch(objects, record)
    assert not records.files_present(objects, record)


def test_a_damaged_record_is_not_taken_for_an_absent_one(objects):
    objects.create(records.record_name("sft", "k"), b"{half")
    with pytest.raises(Unreachable, match="is damaged"):
        records.read_record(objects, "sft", "k")


def test_failed_means_more_failures_than_retries(objects):
    assert not records.is_failed(objects, "sft", "k")
    records.add_failure(objects, "sft", "k", {"message": "one"})
    records.add_failure(objects, "sft", "k", {"message": "two"})
    assert records.is_failed(objects, "sft", "k")
    records.retry(objects, "sft", "k")
    assert not records.is_failed(objects, "sft", "k")
    assert [f["message"] for f in records.read_failures(objects, "sft", "k")] == ["one", "two"]


def test_a_data_set_added_twice_is_one(tmp_path, objects):
    digests = []
    for _ in range(2):
        folder = tmp_path / "incoming"
        folder.mkdir(exist_ok=True)
        (folder / "rows.txt").write_text("1\t0.5\tgood\n")
        digests.append(records.add_dataset(objects, "d", folder, {"name": "d"}))
    assert digests[0] == digests[1]
    assert records.datasets_present(objects, "d") == [digests[0]]
    facts = json.loads(objects.read(f"datasets/d/{digests[0]}/dataset.json"))
    assert facts["files"]["rows.txt"]["size"] == 11


def test_a_folders_digest_is_of_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    one = digest_of(digest_folder(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    two = digest_of(digest_folder(tmp_path))
    (tmp_path / "b").write_text("2")
    assert len({one, two, digest_of(digest_folder(tmp_path))}) == 3


@pytest.mark.parametrize("act", ["create", "put_folder"])
def test_a_store_that_cannot_be_written_is_named_with_the_way_out(tmp_path, act):
    blocker = tmp_path / "store"
    blocker.write_text("a file where the folder should be")
    objects = open_store(str(blocker))
    with pytest.raises(Unreachable, match=r"cannot write .* in the store") as caught:
        if act == "create":
            objects.create("a", b"1")
        else:
            (tmp_path / "out").mkdir()
            objects.put_folder(tmp_path / "out", "w/a")
    assert "may write to" in caught.value.hint


def test_a_folder_on_another_filesystem_is_moved_whole(tmp_path, objects, monkeypatch):
    elsewhere = "/dev/shm"
    if not os.path.isdir(elsewhere) or os.stat(elsewhere).st_dev == tmp_path.stat().st_dev:
        pytest.skip("one filesystem only")
    import tempfile
    from pathlib import Path

    out = Path(tempfile.mkdtemp(dir=elsewhere))
    (out / "deep").mkdir()
    (out / "deep" / "a").write_text("x")
    objects.put_folder(out, "w/a")
    assert (objects.local("w/a") / "deep" / "a").read_text() == "x"
    assert not out.exists()
