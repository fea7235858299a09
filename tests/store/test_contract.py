"""One contract, whatever the storage (see `conftest.KINDS`)."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from c2f_spec.errors import Unreachable
from c2f_spec.store.cache import fetch_verified, fetch_verified_file
from c2f_spec.store.digest import digest_file, digest_folder
from c2f_spec.store.open import open_store


def test_an_object_is_created_once(objects):
    assert objects.read("a/b.json") is None
    assert objects.create("a/b.json", b"1")
    assert not objects.create("a/b.json", b"2")
    assert objects.read("a/b.json") == b"1"
    assert objects.size("a/b.json") == 1
    assert objects.exists("a/b.json")
    assert not objects.exists("a")
    assert objects.size("a/c.json") is None
    assert objects.read_range("a/b.json", 0, 1) == b"1"
    with pytest.raises(FileNotFoundError):
        objects.read_range("a/c.json", 0, 1)


def test_of_eight_creators_one_wins(objects):
    def create(writer: int) -> bool:
        return objects.create("records/sft/k.json", f"{writer}".encode() * 30_000)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert sum(won) == 1
    assert objects.read("records/sft/k.json") == f"{won.index(True)}".encode() * 30_000


def test_what_is_replaced_is_replaced_whole(objects):
    objects.replace("p", b"0" * 300_000)
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            data = objects.read("p")
            seen.add((len(data), len(set(data))))

    reader = threading.Thread(target=look)
    reader.start()
    for digit in b"12345":
        objects.replace("p", bytes([digit]) * 300_000)
    stop.set()
    reader.join()
    assert seen == {(300_000, 1)}


def test_a_swap_needs_the_version_that_was_read(objects):
    assert objects.read_version("lease") is None
    assert objects.swap("lease", b"1", None)
    assert not objects.swap("lease", b"x", None)
    data, version = objects.read_version("lease")
    assert data == b"1"
    assert objects.swap("lease", b"2", version)
    assert not objects.swap("lease", b"x", version)
    assert objects.read("lease") == b"2"


def test_listings_are_in_order_whole_and_of_that_prefix_only(objects):
    names = [f"a/{i:04}" for i in range(1203)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: objects.replace(name, name.encode()), names))
    objects.replace("ab", b"no part of it")
    assert list(objects.names("a")) == names
    listed = list(objects.listing("a"))
    assert {item.size for item in listed} == {6}
    assert max(item.modified for item in listed) - min(item.modified for item in listed) < 600
    assert list(objects.names("nothing")) == []
    assert objects.read_many([*names, "a/none"]) == {name: name.encode() for name in names}


def test_what_is_removed_is_gone_and_may_be_removed_again(objects):
    objects.replace("a/b", b"1")
    objects.delete("a/b")
    objects.delete("a/b")
    assert objects.read("a/b") is None
    assert list(objects.names("a")) == []


def test_odd_but_legal_names(objects):
    for name in ("a b/ü+%20&=~.txt", "空 格/情感.json", "x" * 200):
        objects.replace(name, name.encode())
        assert objects.read(name) == name.encode()
        assert name in set(objects.names(name.rpartition("/")[0]))


@pytest.mark.parametrize("name", ["../x", "a//b", "/a", "a/", "a/../b", "a\nb", "", "a\\b", "x" * 901])
def test_names_that_leave_the_store_are_bugs(objects, name):
    with pytest.raises(AssertionError):
        objects.replace(name, b"")


@pytest.fixture
def folder(tmp_path):
    """Files of every size that matters: none, small ones, one that goes in parts."""
    path = tmp_path / "out"
    (path / "clips").mkdir(parents=True)
    for i in range(12):
        (path / "clips" / f"{i:02}.mp4").write_bytes(os.urandom(10_000 + i))
    (path / "empty").write_bytes(b"")
    (path / "weights.bin").write_bytes(os.urandom((17 << 20) + 3))
    return path


def test_a_folder_comes_back_as_it_was(objects, folder, tmp_path):
    files = digest_folder(folder)
    layout = objects.put_folder(folder, "work/a", files)
    assert {path: (e.size, e.blake3) for path, e in layout.items()} == {
        path: (e.size, e.blake3) for path, e in files.items()
    }
    told = []
    staged = fetch_verified(
        objects, "work/a", layout, None, "way out", lambda done, total: told.append((done, total))
    )
    assert digest_folder(staged) == files
    if objects.local("x") is None:
        total = sum(e.size for e in files.values())
        assert told[0] == (0, total)
        assert told[-1] == (total, total)
        fetch_verified(
            objects, "work/a", layout, None, "way out", lambda done, total: told.append((done, total))
        )
        assert told[-2] == (total, total), "the second time everything is there"


def test_small_files_share_an_object(objects, folder):
    layout = objects.put_folder(folder, "work/a")
    names = list(objects.names("work/a"))
    if objects.local("x") is not None:
        return
    assert names == ["work/a/shards/00000.tar", "work/a/weights.bin"]
    assert layout["clips/03.mp4"].shard == "shards/00000.tar"
    clip = fetch_verified_file(objects, "work/a", "clips/03.mp4", layout["clips/03.mp4"], "")
    assert digest_file(clip).same_content(layout["clips/03.mp4"])


def test_a_changed_byte_is_noticed_and_named(objects, folder, tmp_path):
    layout = objects.put_folder(folder, "work/a")
    for path in ("clips/07.mp4", "weights.bin"):
        entry = layout[path]
        name, offset = f"work/a/{entry.shard or path}", entry.offset or 0
        content = bytearray(objects.read(name))
        content[offset + entry.size // 2] ^= 1
        objects.replace(name, bytes(content))
        with pytest.raises(Unreachable, match=f"{path} .*was changed") as caught:
            fetch_verified(objects, "work/a", layout, None, "the way out")
        assert caught.value.hint == "the way out"
        content[offset + entry.size // 2] ^= 1
        objects.replace(name, bytes(content))


def test_a_missing_file_is_named(objects, folder):
    layout = objects.put_folder(folder, "work/a")
    objects.delete("work/a/weights.bin")
    with pytest.raises(Unreachable, match="weights.bin is missing"):
        fetch_verified(objects, "work/a", layout, None, "the way out")


def test_one_file_there_and_back(objects, folder, tmp_path):
    source = folder / "weights.bin"
    entry = digest_file(source)
    objects.put_file(source, "w/weights.bin")
    assert source.is_file()
    objects.get_file("w/weights.bin", tmp_path / "again", entry)
    assert digest_file(tmp_path / "again") == entry
    wrong = entry.model_copy(update={"blake3": "0" * 64})
    with pytest.raises(Unreachable, match=r"weights.bin was changed"):
        objects.get_file("w/weights.bin", tmp_path / "wrong", wrong)
    assert [p.name for p in tmp_path.glob("wrong*")] == []


def test_addresses_with_credentials_are_refused():
    for url in ("s3://key:secret@bucket/p", "s3://bucket/p?secret=x"):
        with pytest.raises(Unreachable, match="holds credentials") as caught:
            open_store(url)
        assert "secret" not in str(caught.value).replace("credentials", "")


def test_other_storage_is_refused_by_name():
    with pytest.raises(Unreachable, match="`gs`"):
        open_store("gs://bucket/c2f")


def test_a_killed_download_goes_on_where_it_was(url_of, tmp_path):
    """Its finished ranges are noted; one that was damaged meanwhile costs the whole, and is not believed."""
    objects = open_store(url_of("seaweed"))
    source = tmp_path / "weights.bin"
    source.write_bytes(os.urandom((70 << 20) + 5))
    entry = digest_file(source)
    objects.put_file(source, "w")
    for first in (source.read_bytes()[: 64 << 20], bytes(64 << 20)):
        with (tmp_path / "again.part").open("wb") as part:
            part.write(first)
            part.truncate(entry.size)
        (tmp_path / "again.part.parts").write_text("0\n")
        objects.get_file("w", tmp_path / "again", entry)
        assert digest_file(tmp_path / "again") == entry
        assert sorted(p.name for p in tmp_path.glob("again*")) == ["again"]
