"""Decoded clips on disk: the same rows with and without, damage noticed, room kept, shared by processes."""

from __future__ import annotations

import errno
import os
import time

import numpy as np
import pytest
import torch

from c2f_spec.errors import UsageError
from c2f_spec.store.open import open_store
from runtime.media import decode, decoded_cache
from runtime.media.decoded_cache import DecodedCache, cache_key, cache_limit, open_cache
from runtime.models.rows import Reader
from tests.support.omni import FMT, MEDIA, prepared, student

NAMES = ("toy-00", "toy-01", "toy-02")


def reading(keep, **media):
    return Reader(prepared(), student().processor, FMT, MEDIA.model_copy(update=media), cache=keep)


def same(a, b):
    return a.prompt == b.prompt and all(
        torch.equal(a.media[name], b.media[name]) for name in (*a.media, *b.media)
    )


@pytest.fixture
def keep(tmp_path):
    return DecodedCache(tmp_path / "features", 10**9)


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files whose frames were decoded, in order."""
    names = []
    for name, decoder in decode.DECODERS.items():
        monkeypatch.setitem(
            decode.DECODERS, name, lambda path, media, by=decoder: names.append(path.stem) or by(path, media)
        )
    return names


def test_rows_are_the_same_bits_decoded_stored_and_read_again(keep, decoded):
    plain = reading(None).rows(NAMES)
    first, again = reading(keep).rows(NAMES), reading(keep).rows(NAMES)
    assert all(same(*pair) for pair in zip(plain, first, strict=True))
    assert all(same(*pair) for pair in zip(plain, again, strict=True))
    assert decoded == [*NAMES, *NAMES], "the third reader decoded nothing"


def test_other_settings_and_other_bytes_are_other_entries(keep, decoded):
    reading(keep).row("toy-00")
    for media in ({"max_pixels": 1568}, {"fps": 1.0}, {"decoder": "av"}, {"min_pixels": 3000}):
        reading(keep, **media).row("toy-00")
    assert decoded == ["toy-00"] * 5
    reading(keep, audio="in_video").row("toy-00")
    assert len(decoded) == 5, "where sound stands is the prompt's business"
    assert cache_key("a", "m") != cache_key("b", "m") != cache_key("b", "n")


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "text"])
def test_a_damaged_entry_is_reported_and_written_anew(keep, decoded, capsys, damage):
    good = reading(keep).row("toy-00")
    (path,) = keep.root.glob("*/*.safetensors")
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    broken = {"flipped": bytes(data), "cut": bytes(data[: len(data) // 2]), "empty": b"", "text": b"x" * 500}
    path.write_bytes(broken[damage])
    assert same(reading(keep).row("toy-00"), good)
    assert f"{path} is damaged" in capsys.readouterr().out
    assert same(reading(keep).row("toy-00"), good)
    assert decoded == ["toy-00", "toy-00"]


def test_the_cache_stays_below_its_limit_and_some_clips_stay_however_often_all_are_read(tmp_path):
    arrays = {"frames": np.zeros(10_000, np.uint8)}
    keep = DecodedCache(tmp_path, 200_000)
    hits = 0
    for _ in range(5):
        for n in range(40):
            found = keep.get(f"{n:064}")
            hits += found is not None
            if found is None:
                keep.put(f"{n:064}", arrays)
            assert sum(p.stat().st_size for p in tmp_path.glob("*/*")) <= keep.max_bytes + 12_000
    assert hits > 20, "evicting what was not used for longest would find none"


def test_an_entry_larger_than_the_cache_is_not_stored(tmp_path):
    DecodedCache(tmp_path, 100).put("a" * 64, {"frames": np.zeros(200, np.uint8)})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(tmp_path):
    keep = DecodedCache(tmp_path, 1000)
    (tmp_path / "aa").mkdir()
    old, new = tmp_path / "aa" / "old.part", tmp_path / "aa" / "new.part"
    for path in (old, new):
        path.write_bytes(bytes(5000))
    os.utime(old, (time.time() - 2 * decoded_cache.ABANDONED_SECONDS,) * 2)
    keep.put("b" * 64, {"frames": np.zeros(100, np.uint8)})
    assert (old.exists(), new.exists()) == (False, True)


def test_a_full_disk_is_reported_one_time_and_rows_are_decoded(keep, decoded, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(decoded_cache, "save_file", full)
    assert [row.id for row in reading(keep).rows(NAMES)] == list(NAMES)
    assert capsys.readouterr().out.count("No space left on device") == 1
    assert not list(keep.root.glob("*/*"))


def test_the_cache_has_its_folder_in_the_store_and_its_limit_from_a_variable(tmp_path, monkeypatch):
    objects = open_store(str(tmp_path / "store"))
    assert open_cache(objects).root == tmp_path / "store" / "features"
    monkeypatch.setenv("C2F_FEATURES_GB", "0.5")
    assert cache_limit(tmp_path) == 500_000_000
    monkeypatch.setenv("C2F_FEATURES_GB", "much")
    with pytest.raises(UsageError, match="invalid C2F_FEATURES_GB: `much`"):
        cache_limit(tmp_path)
