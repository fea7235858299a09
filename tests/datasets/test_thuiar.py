"""CH-SIMS, MOSI and their kin: synthetic copies of their layout, with the odd cases that the real ones have."""

from __future__ import annotations

import json
import shutil

import av
import numpy as np
import pytest

from c2f_spec.errors import InvalidData
from c2f_spec.language.lock_file import read_lock
from c2f_spec.store.open import open_store
from runtime.commands import data
from runtime.datasets import thuiar
from runtime.media.decode import probe
from runtime.media.speaker import render
from runtime.stages import prepare
from runtime.text.clips import read_facts, read_manifest
from tests.store.test_room import files_of_at_most
from tests.support.odd_clips import film
from tests.support.stage_runs import run_stage

HEADER = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode"
ROWS = (
    "video_0001,0001,你好，世界,-0.8,-1.0,0.2,-0.6,Negative,train",
    'video_0001,0002,"他说：""好""，走了",0.0,,,,Neutral,train',
    "-aBc_9xY,7,quiet,0.6,0.6,0.4,1.0,Positive,valid",
    "12345,0003,最后,1.0,1,1,1,Positive,test",
)
FILES = ("video_0001/0001", "video_0001/0002", "-aBc_9xY/0007", "12345/0003")


def broken_off(whole, path):
    """What is left of a clip whose head comes first, and whose end does not come."""
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 4])


def copy(folder, rows=ROWS, header=HEADER, files=FILES, table="label.csv", bom=False):
    folder.mkdir(parents=True, exist_ok=True)
    text = "\r\n".join([header, *rows, ""])
    (folder / table).write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    for n, name in enumerate(files):
        path = folder / "Raw" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        render(path, n - 1.0, seed=n, clip=name)
    return folder


@pytest.mark.parametrize("bom", [False, True])
def test_ids_stay_text_and_cells_keep_their_quotes(tmp_path, bom):
    rows = thuiar.read("ch-sims", copy(tmp_path, bom=bom))
    assert rows[1].text == '他说："好"，走了'
    assert [(row.id, row.split, row.label) for row in rows] == [
        ("video_0001$_$0001", "train", -0.8),
        ("video_0001$_$0002", "train", 0),
        ("-aBc_9xY$_$7", "valid", 0.6),
        ("12345$_$0003", "test", 1),
    ]


def test_a_file_may_be_padded_to_four_digits(tmp_path):
    rows = thuiar.read("ch-sims", copy(tmp_path))
    paths = [thuiar.clip_path("ch-sims", tmp_path, row).relative_to(tmp_path / "Raw") for row in rows]
    assert list(map(str, paths)) == [f"{name}.mp4" for name in FILES]
    with pytest.raises(InvalidData, match=r"`12345\$_\$0003`: file not found: .*12345/0003.mp4"):
        (tmp_path / "Raw" / "12345" / "0003.mp4").unlink()
        thuiar.clip_path("ch-sims", tmp_path, rows[3])


def test_older_tables_have_fewer_columns(tmp_path):
    header = "video_id,clip_id,text,label,annotation,mode,label_by"
    rows = ["a,1,x,-2.4,Negative,train,0", "a,2,y,0.3333333,,test,0"]
    found = thuiar.read("cmu-mosei", copy(tmp_path, rows, header, files=()))
    assert [row.label for row in found] == [-2.4, 0.3333333]


def test_the_table_of_v2_is_named_meta(tmp_path):
    assert len(thuiar.read("ch-sims-v2", copy(tmp_path, table="meta.csv"))) == 4
    with pytest.raises(InvalidData, match=r"cannot read .*label\.csv"):
        thuiar.read("ch-sims", tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "video_0001,0001,x,0,,,,Neutral,train",
            r"label.csv:6: duplicate clip `video_0001\$_\$0001`, first on line 2",
        ),
        ("v,1,x,1.2,,,,Positive,train", r"label.csv:6: label 1.2 is out of range \[-1, 1\]"),
        ("v,1,x,nan,,,,Positive,train", r"label.csv:6: label nan is out of range"),
        ("v,1,x,high,,,,Positive,train", r"label.csv:6: label `high` is not a number"),
        ("v,1,x,0.2,,,,Positive,dev", r"label.csv:6: invalid split `dev`"),
        ("../v,1,x,0.2,,,,Positive,train", r"label.csv:6: invalid id `../v`"),
        ("v,..,x,0.2,,,,Positive,train", r"label.csv:6: invalid id `..`"),
        ("v,1,x,0.2,,,,Positive", r"label.csv:6: wrong number of cells"),
        ("v,1,x,0.2,,,,Positive,train,more", r"label.csv:6: wrong number of cells"),
        (
            "v,1,x,-0.4,,,,Positive,train",
            r"1 problems:\n  label.csv:6: annotation Positive does not match label -0.4",
        ),
    ],
)
def test_a_wrong_row_is_refused_with_its_place(tmp_path, row, message):
    with pytest.raises(InvalidData, match=message):
        thuiar.read("ch-sims", copy(tmp_path, (*ROWS, row), files=()))


def test_check_goes_on_behind_wrong_rows_and_lists_them_all(c2f, tmp_path):
    wrong = (
        "video_0001,0001,x,0,,,,Neutral,train",
        "v,1,x,1.2,,,,Positive,train",
        "v,2,x,0.4,,,,Negative,test",
    )
    folder = copy(tmp_path / "copy", (*ROWS, *wrong))
    (folder / "Raw" / "12345" / "0003.mp4").unlink()
    output = c2f("data", "check", "ch-sims", "--from", str(folder), check=4).stdout
    assert (
        "problem: 3 invalid rows\n  label.csv:6: duplicate clip `video_0001$_$0001`, first on line 2\n"
        in output
    )
    assert "  label.csv:8: annotation Negative does not match label 0.4\n" in output
    assert "problem: 1 unusable clips\n  12345$_$0003: clip `12345$_$0003`: file not found" in output
    refused = c2f("data", "add", "ch-sims", "--from", str(folder), "--accept-terms", check=4)
    assert "has 3 problems:\n  label.csv:6:" in refused.stderr
    assert "cannot read" in c2f("data", "check", "ch-sims", "--from", str(tmp_path), check=4).stderr


def test_a_missing_column_and_another_encoding_are_named(tmp_path):
    with pytest.raises(InvalidData, match="label.csv:1: missing column clip_id, mode"):
        thuiar.read("ch-sims", copy(tmp_path, (), "video_id,text,label", files=()))
    (tmp_path / "label.csv").write_bytes(HEADER.encode() + "\n你".encode("gbk"))
    with pytest.raises(InvalidData, match="is not a CSV table in UTF-8"):
        thuiar.read("ch-sims", tmp_path)


def test_a_probe_describes_the_streams_of_a_file(tmp_path):
    render(tmp_path / "good.mp4", 1.0, seed=1, clip="c")
    film(tmp_path / "silent.mp4", rate=None)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "good.mp4").read_bytes()[:2000])
    (tmp_path / "text.mp4").write_text("no film")
    good = probe(tmp_path / "good.mp4")
    assert (good.problem, good.lacks) == ("", ())
    assert good.duration_s == pytest.approx(2, abs=0.2)
    film(tmp_path / "blind.mp4", side=None)
    broken_off(tmp_path / "good.mp4", tmp_path / "off.mp4")
    assert probe(tmp_path / "off.mp4").problem == "truncated: 0.3 of 2.0 s can be read"
    assert probe(tmp_path / "silent.mp4").lacks == ("audio",)
    assert probe(tmp_path / "blind.mp4").lacks == ("video",)
    assert all(probe(tmp_path / name).problem for name in ("cut.mp4", "text.mp4"))


def test_a_length_that_is_guessed_is_no_problem_of_a_file(tmp_path):
    """AAC without a container has no head that tells it; a file that begins with silence seems longer than it is."""
    path, rate = tmp_path / "x.aac", 16_000
    with av.open(str(path), "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        loud = np.random.default_rng(0).normal(0, 0.3, rate)
        for n, second in enumerate([*[np.zeros(rate)] * 2, *[loud] * 8]):
            frame = av.AudioFrame.from_ndarray(second.astype(np.float32)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, n * rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        guessed = container.duration / av.time_base
    found = probe(path)
    assert (found.problem, found.lacks) == ("", ("video",))
    assert guessed > 2 * found.duration_s


def prepared(tmp_path, folder):
    summary, ctx = run_stage(prepare, tmp_path / "out", {"data": folder}, dataset="ch-sims", limit={})
    return ctx.out, summary


def test_recordings_are_copied_as_they_are(tmp_path):
    folder = copy(tmp_path / "copy")
    out, summary = prepared(tmp_path, folder)
    assert summary["splits"] == {"train": 2, "valid": 1, "test": 1}
    clips = {clip.id: clip for clip in read_manifest(out)}
    odd = clips["-aBc_9xY$_$7"]
    assert odd.media == "clips/-aBc_9xY/0007.mp4"
    assert (out / odd.media).read_bytes() == (folder / "Raw" / "-aBc_9xY" / "0007.mp4").read_bytes()
    assert odd.duration_s == pytest.approx(2, abs=0.2)
    assert clips["video_0001$_$0002"].polarity == "neutral"
    assert read_facts(out)["rendered"] is False


def test_a_clip_without_sound_is_prepared_as_one_and_one_that_nothing_comes_out_of_is_named(tmp_path):
    folder = copy(tmp_path / "copy")
    film(folder / "Raw" / "12345" / "0003.mp4", rate=None)
    out, summary = prepared(tmp_path / "silent", folder)
    assert summary["without"] == {"audio": 1}
    lacking = {clip.id: clip.lacks for clip in read_manifest(out) if clip.lacks}
    assert lacking == {"12345$_$0003": ("audio",)}
    bad = folder / "Raw" / "12345" / "0003.mp4"
    bad.write_text("no film")
    with pytest.raises(InvalidData) as refused:
        prepared(tmp_path / "bad", folder)
    reason = f"Invalid data found when processing input ({bad})"
    assert refused.value.message == f"the clip `12345$_$0003` cannot be decoded: {reason}"


def test_adding_takes_the_table_and_its_clips_and_no_more(tmp_path, capsys):
    folder = copy(tmp_path / "copy")
    (folder / "notes.txt").write_text("mine")
    assert data.main(["add", "ch-sims", "--store", str(tmp_path / "store"), "--from", str(folder)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["files"], printed["rows"]) == (5, 4)
    listing = json.loads(
        open_store(str(tmp_path / "store")).read(f"datasets/ch-sims/{printed['digest']}/dataset.json")
    )
    assert sorted(listing["files"]) == sorted(["label.csv", *(f"Raw/{name}.mp4" for name in FILES)])


def test_a_disk_that_is_full_is_reported_and_nothing_is_left_of_the_copy(tmp_path, capsys):
    folder, store = copy(tmp_path / "copy"), tmp_path / "store"
    argv = ["add", "ch-sims", "--store", str(store), "--from", str(folder)]
    with files_of_at_most(5000):
        assert data.main(argv) == 7
    output = capsys.readouterr().err
    assert output.startswith(f"cannot copy the data set: File too large: {store / 'incoming'}/")
    assert [path for path in store.rglob("*") if path.is_file()] == []
    assert data.main(argv) == 0


def test_terms_are_accepted_by_name(c2f, tmp_path):
    folder = copy(tmp_path / "copy")
    refused = c2f("data", "add", "ch-sims", "--from", str(folder), check=64)
    assert "under terms that its authors ask you to accept" in refused.stderr
    assert "--accept-terms" in refused.stderr
    assert "ch-sims: 4 rows" in c2f("data", "add", "ch-sims", "--from", str(folder), "--accept-terms").stdout


def test_that_terms_were_accepted_is_in_the_lock_and_enough_for_the_next_time(c2f, repository):
    folder = copy(repository / "copy")
    c2f("data", "add", "ch-sims", "--from", str(folder), "--accept-terms")
    lock = read_lock(repository / "specs" / "c2f.lock")
    assert lock.terms_accepted == {"ch-sims": "true"}
    assert "ch-sims: 4 rows" in c2f("data", "add", "ch-sims", "--from", str(folder)).stdout
    c2f("data", "add", "cmu-mosi", "--from", str(folder), check=64)


def test_check_names_what_is_wrong_and_what_leaks(c2f, tmp_path):
    folder = copy(tmp_path / "one")
    rows = (*ROWS, "new,1,新的,0.4,,,,Positive,train", "new,2,again,0.4,,,,Positive,test")
    other = copy(tmp_path / "two", rows, table="meta.csv")
    for name in ("1", "2"):
        (other / "Raw" / "new").mkdir(exist_ok=True)
        shutil.copy(other / "Raw" / "12345" / "0003.mp4", other / "Raw" / "new" / f"{name}.mp4")
    film(other / "Raw" / "video_0001" / "0001.mp4", rate=None)
    done = c2f("data", "check", "ch-sims-v2", "--from", str(other), "--against", f"ch-sims={folder}", check=4)
    assert "ch-sims-v2: 6 clips (3 train, 1 valid, 2 test), labels from -0.8 to 1" in done.stdout
    assert (
        "problem: 3 splits that differ from the published size\n  train: 3 clips, published 2,722"
        in done.stdout
    )
    assert "clips without sound: 1 (their prompts say so)\n" in done.stdout
    assert "12345$_$0003 (test) = new$_$1 (train) = new$_$2 (test)" in done.stdout
    assert (
        "overlap with ch-sims: 6 clips (3 train, 1 valid, 2 test) by id, words or recording\n"
        "  video_0001$_$0001\n" in done.stdout
    )
    assert "  and 1 more (all with -o json)\n" in done.stdout
    assert "it contains ch-sims: training on one and testing on the other leaks" in done.stdout
    found = json.loads(c2f("data", "check", "ch-sims", "--from", str(folder), "-o", "json", check=4).stdout)
    assert [problem["what"] for problem in found["problems"]] == [
        "splits that differ from the published size"
    ]
    assert found["notes"][0].startswith("it is part of ch-sims-v2: ")
