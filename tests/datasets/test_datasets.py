"""Readers of data sets, splits and limits, and how copies come into the store."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.errors import InvalidData
from c2f_spec.spec.datasets import DATASETS as KNOWN
from c2f_spec.store.open import open_store
from c2f_spec.store.records import datasets_present
from runtime.commands import data
from runtime.commands.data import FETCH, FOLDER, NESTED, unpack
from runtime.datasets import DATASETS, RECORDED, icwsm2014
from runtime.datasets.labelled_rows import LabelledRow, hash_fraction, limit_rows

RATINGS = Path(__file__).parents[1] / "data" / "icwsm2014"
NYT = icwsm2014.FILES["icwsm2014-nyt"]


def test_every_rendered_data_set_has_a_reader_and_can_be_fetched():
    assert (
        {facts.reader for facts in KNOWN.values() if facts.rendered}
        == set(FETCH)
        == set(DATASETS) - set(RECORDED)
    )
    assert {name for name, facts in KNOWN.items() if facts.reader == "icwsm2014"} == set(icwsm2014.FILES)


def test_movie_rows_are_split_by_a_hash_of_the_id():
    rows = icwsm2014.read("icwsm2014-movie", RATINGS)
    assert len(rows) == 200
    assert rows[2] == LabelledRow("movie-3", rows[2].split, "Effective but too tepid biopic", -0.6)
    counts = Counter(row.split for row in rows)
    assert 120 < counts["train"] < 160
    assert counts["valid"] > 8
    assert counts["test"] > 20
    assert {r.id: r.split for r in rows[:4]} == {
        "movie-1": "valid", "movie-2": "train", "movie-3": "train", "movie-4": "valid",
    }, "a change of the splits makes every result so far incomparable"  # fmt: skip


@pytest.mark.parametrize("domain", ["amazon", "nyt", "tweets"])
def test_other_domains_are_test_sets(domain):
    rows = icwsm2014.read(f"icwsm2014-{domain}", RATINGS)
    assert len(rows) == 60
    assert {row.split for row in rows} == {"test"}
    assert len({row.id for row in rows}) == 60
    assert not any(row.text.endswith("\r") for row in rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1_1\t0.5\tagain\r", r":3: duplicate id `1_1`, first on line 1"),
        (b"2_2\t4.01\tx\r", r":3: rating 4.01 is out of range \[-4, 4\]"),
        (b"2_2\tnan\tx\r", r":3: rating nan is out of range"),
        (b"2_2\tgood\tx\r", r":3: rating `good` is not a number"),
        (b"2_2\t1\r", r":3: 2 columns instead of"),
        (b"2_2\t1\tx\ty\r", r":3: 4 columns instead of"),
        (b"2_2\t1\t \r", r":3: missing sentence"),
        (b"../2\t1\tx\r", r":3: invalid id `../2`"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path, line, message):
    (tmp_path / NYT).write_bytes(b"1_1\t0.4\tOn Dec. 19\r\n1_2\t0.15\tEvents\r\n" + line + b"\n")
    with pytest.raises(InvalidData, match=NYT + message) as caught:
        icwsm2014.read("icwsm2014-nyt", tmp_path)
    assert "data add icwsm2014-nyt" in caught.value.hint


def test_bytes_that_are_not_utf8_and_odd_line_separators_stay_in_their_row(tmp_path):
    (tmp_path / NYT).write_bytes(b"1\t1\tcaf\xe9 \xe2\x80\xa8 x \x0c y\r\n2\t-1\tz")
    assert [row.text for row in icwsm2014.read("icwsm2014-nyt", tmp_path)] == [
        "caf\ufffd \u2028 x \x0c y",
        "z",
    ]


@pytest.mark.parametrize("content", [None, b"\r\n"])
def test_a_missing_or_empty_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / NYT).write_bytes(content)
    with pytest.raises(InvalidData, match=NYT):
        icwsm2014.read("icwsm2014-nyt", tmp_path)


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_smaller_limit_keeps_a_subset(a, b):
    rows = [LabelledRow(f"x-{n}", "train" if n % 3 else "test", "", 0.0) for n in range(40)]
    few, many = sorted((a, b))
    small, large = ([r.id for r in limit_rows(rows, {"train": n})] for n in (few, many))
    assert [i for i in large if i in set(small)] == small
    assert len(large) == min(many, 26) + 14
    assert limit_rows(rows[::-1], {}) == limit_rows(rows, {})


@given(st.text(), st.text())
def test_a_hash_fraction_is_in_range_and_repeats(name, what):
    assert 0 <= hash_fraction(name, what) < 1
    assert hash_fraction(name, what) == hash_fraction(name, what)


def printed(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_adding_twice_gives_one_copy_with_only_its_own_file(tmp_path, capsys):
    store = tmp_path / "store"
    argv = ["add", "icwsm2014-nyt", "icwsm2014-movie", "--store", str(store), "--from", str(RATINGS)]
    assert data.main(argv) == 0
    first = printed(capsys)
    before = sorted((p, p.stat().st_mtime_ns) for p in store.rglob("*"))
    assert data.main(argv) == 0
    assert printed(capsys) == first
    assert sorted((p, p.stat().st_mtime_ns) for p in store.rglob("*")) == before
    assert [(r["name"], r["rows"]) for r in first] == [("icwsm2014-nyt", 60), ("icwsm2014-movie", 200)]
    assert datasets_present(open_store(str(store)), "icwsm2014-nyt") == [first[0]["digest"]]
    files = store / "datasets" / "icwsm2014-nyt" / first[0]["digest"] / "files"
    assert [p.name for p in files.iterdir()] == [NYT]
    facts = json.loads((files.parent / "dataset.json").read_text())
    assert facts["licence"] == "MIT"


def test_all_means_every_data_set_that_can_be_read(tmp_path, capsys):
    assert data.main(["add", "ALL", "--store", str(tmp_path), "--from", str(RATINGS)]) == 0
    assert [row["name"] for row in printed(capsys)] == list(icwsm2014.FILES)


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["add", "nothing", "--from", "."], 64, "unknown data set `nothing`"),
        (["add", "ch-sims", "--from", "nowhere"], 64, "folder not found: nowhere"),
        (["add", "ch-sims", "--from", "."], 65, "file not found: label.csv"),
        (["add", "ch-sims", "--fetch"], 64, "`ch-sims` cannot be downloaded: its authors give it on request"),
        (["add", "nothing", "--fetch"], 64, "unknown data set `nothing`"),
        (["add", "icwsm2014-nyt"], 64, "--from --fetch"),
        (["add", "icwsm2014-nyt", "--from", "x", "--fetch"], 64, "not allowed with"),
        (["add", "icwsm2014-nyt", "--from", "."], 65, "file not found: nyt"),
    ],
)
def test_wrong_usage_and_wrong_data_are_reported_and_nothing_is_stored(tmp_path, capsys, argv, code, message):
    assert data.main([*argv, "--store", str(tmp_path / "store")]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "hint: " in err
    assert list((tmp_path / "store").rglob("*")) == []


def test_damaged_rows_are_not_stored(tmp_path, capsys):
    (tmp_path / NYT).write_text("1\t9\tx\n")
    argv = ["add", "icwsm2014-nyt", "--store", str(tmp_path / "store"), "--from", str(tmp_path)]
    assert data.main(argv) == 65
    assert f"{NYT}:1: rating 9" in capsys.readouterr().err
    assert list((tmp_path / "store").rglob("*")) == []


def test_without_a_network_one_message_names_the_way_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    assert data.main(["add", "ALL", "--store", str(tmp_path / "store"), "--fetch"]) == 7
    err = capsys.readouterr().err
    assert "cannot download vaderSentiment 2.5" in err
    assert "data add NAME... --from ./icwsm2014" in err


def sdist(path, members):
    """An archive in an archive, as vaderSentiment's."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(NESTED)
        info.size = len(inner.getvalue())
        archive.addfile(info, io.BytesIO(inner.getvalue()))


def test_only_the_ratings_are_taken_out_of_the_archive(tmp_path):
    sdist(tmp_path / "s.tar.gz", {f"{FOLDER}/{NYT}": b"1\t1\tx\r\n", f"{FOLDER}/run.py": b"", "../evil": b""})
    folder = unpack(tmp_path / "s.tar.gz", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [NYT, "s.tar.gz"]
    assert (folder / NYT).read_bytes() == b"1\t1\tx\r\n"


def test_another_archive_is_refused(tmp_path):
    (tmp_path / "s.tar.gz").write_bytes(gzip.compress(b"not a tar"))
    with pytest.raises(InvalidData, match="not found in"):
        unpack(tmp_path / "s.tar.gz", tmp_path)
