"""prepare, distil, filter and baseline, one after the other on an excerpt of the ratings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from c2f_spec.errors import InvalidData, InvalidStageSpec, OutOfMemory
from c2f_spec.spec.sections import C2f
from c2f_spec.store.digest import digest_file, digest_folder
from runtime.models.tiny import make_tokenizer
from runtime.process.parallel import map_processes
from runtime.stages import baseline, distil, prepare
from runtime.stages import filter as filter_stage
from runtime.text.chains import parse_answer
from runtime.text.clips import Clip, read_jsonl, read_manifest
from tests.support.stage_runs import ALL_OFF, run_stage
from tests.support.waiting import wait_until

RATINGS = Path(__file__).parents[1] / "data" / "icwsm2014"
MEDIA = {"fps": 2.0, "max_frames": 4, "max_pixels": 3136}
LIMIT = {"train": 60, "valid": 10, "test": 20}
FILTERS = {**ALL_OFF, "polarity_match": {}, "score_tolerance": {"max_fraction": 0.2}}


def run(stage, folder, inputs, **spec):
    """Run a stage's module into `folder`; returns its summary."""
    return run_stage(stage, folder, inputs, **spec)[0]


def run_filter(made, folder, data="movie", **spec):
    return run(filter_stage, folder, {"prepare": made / data, "distil": made / "distil"}, **spec)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of the stages, run once."""
    root = tmp_path_factory.mktemp("stages")
    for domain in ("movie", "nyt"):
        spec = {"dataset": f"icwsm2014-{domain}", "limit": LIMIT, "render_seed": 7}
        run(prepare, root / domain, {"data": RATINGS}, **spec)
    run(distil, root / "distil", {"prepare": root / "movie"}, teacher={"kind": "lexicon"}, media=MEDIA)
    run_filter(root, root / "filter", filters=FILTERS)
    return root


def test_prepare_writes_a_manifest_whose_clips_are_there(made):
    clips = read_manifest(made / "movie")
    assert [(split, sum(c.split == split for c in clips)) for split in LIMIT] == list(LIMIT.items())
    for clip in clips:
        assert digest_file(made / "movie" / clip.media).blake3 == clip.blake3
    assert {p.name for p in (made / "movie" / "clips").iterdir()} == {f"{c.id}.mp4" for c in clips}
    facts = json.loads((made / "movie" / "dataset.json").read_text())
    assert facts == {
        "name": "icwsm2014-movie", "language": "en", "low": -4.0, "high": 4.0, "family": "mosi", "rendered": True,
        "splits": LIMIT, "note": "text and ratings are human; voice and face are rendered",
    }  # fmt: skip


def test_preparing_again_gives_the_same_bytes_and_another_seed_other_media(made, tmp_path):
    for name, seed in (("same", 7), ("other", 8)):
        spec = {"dataset": "icwsm2014-nyt", "limit": LIMIT, "render_seed": seed}
        run(prepare, tmp_path / name, {"data": RATINGS}, **spec)
    first, same, other = (digest_folder(p) for p in (made / "nyt", tmp_path / "same", tmp_path / "other"))
    assert same == first
    assert all(other[path] != entry for path, entry in first.items() if path.startswith("clips/"))


def test_prepare_without_a_limit_takes_every_row_on_all_cores(tmp_path):
    assert run(prepare, tmp_path / "all", {"data": RATINGS}, dataset="icwsm2014-movie")["clips"] == 200


def test_results_of_many_cores_come_in_order():
    assert list(map_processes(abs, range(-300, 0), least=1)) == list(range(300, 0, -1))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core: no other processes")
def test_workers_end_with_a_stage_that_is_killed():
    code = "import time; from runtime.process.parallel import map_processes; list(map_processes(time.sleep, [0.1] * 9999))"
    stage = subprocess.Popen([sys.executable, "-c", code])
    children = Path(f"/proc/{stage.pid}/task/{stage.pid}/children")
    workers = wait_until(lambda: [p for p in children.read_text().split() if "spawn_main" in command(p)])
    stage.kill()
    stage.wait()
    wait_until(lambda: not any("spawn_main" in command(pid) for pid in workers))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core: no other processes")
def test_a_worker_that_dies_is_reported():
    with pytest.raises(OutOfMemory, match="was killed"):
        list(map_processes(os._exit, [1] * 3, least=1))


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_distil_writes_a_chain_for_every_training_clip_in_order(made):
    chains = list(read_jsonl(made / "distil" / "chains.jsonl"))
    assert [c["id"] for c in chains] == [c.id for c in read_manifest(made / "movie", "train")]
    assert all(parse_answer(C2f(), c["text"]).well_formed for c in chains)


def test_distil_never_depends_on_labels(made, tmp_path):
    lines = (made / "movie" / "manifest.jsonl").read_text().splitlines()
    copy = tmp_path / "movie"
    copy.mkdir()
    (copy / "clips").symlink_to(made / "movie" / "clips")
    (copy / "dataset.json").write_text((made / "movie" / "dataset.json").read_text())
    unlabelled = [json.loads(line) | {"label": 0.0, "polarity": "neutral"} for line in lines]
    (copy / "manifest.jsonl").write_text("\n".join(map(json.dumps, unlabelled)))
    run(distil, tmp_path / "distil", {"prepare": copy}, teacher={"kind": "lexicon"}, media=MEDIA)
    again, first = (root / "distil" / "chains.jsonl" for root in (tmp_path, made))
    assert again.read_bytes() == first.read_bytes()


def test_distil_refuses_a_set_without_training_clips_and_a_teacher_without_weights(made, tmp_path):
    with pytest.raises(InvalidData, match="`icwsm2014-nyt` has no training clips"):
        run(distil, tmp_path / "a", {"prepare": made / "nyt"}, teacher={"kind": "lexicon"})
    qwen = {"kind": "transformers", "model": "a/b", "revision": "0" * 40}
    with pytest.raises(InvalidStageSpec, match="weights of `a/b` are missing in this stage"):
        run(distil, tmp_path / "b", {"prepare": made / "movie"}, teacher=qwen)


def test_filter_conserves_chains_by_filter_and_polarity(made):
    folder = made / "filter"
    kept, dropped = (list(read_jsonl(folder / name)) for name in ("chains.jsonl", "dropped.jsonl"))
    funnel = json.loads((folder / "funnel.json").read_text())
    assert funnel["in"] == 60 == len(kept) + len(dropped)
    assert funnel["kept"] == len(kept)
    assert {row["id"] for row in kept} | {row["id"] for row in dropped} == {
        clip.id for clip in read_manifest(made / "movie", "train")
    }
    assert set(funnel["dropped"]) <= {"polarity_match", "score_tolerance"}
    for part in (funnel, *funnel["by_polarity"].values()):
        assert part["in"] == part["kept"] + sum(part["dropped"].values())
    assert 0.4 < len(kept) / 60 < 0.95, (
        "a teacher that is always or never right gives the filters nothing to do"
    )


def test_kept_chains_carry_the_label(made):
    clips = {clip.id: clip for clip in read_manifest(made / "movie", "train")}
    for row in read_jsonl(made / "filter" / "chains.jsonl"):
        answer = parse_answer(C2f(), row["text"])
        assert answer.polarity == clips[row["id"]].polarity
        assert answer.score == pytest.approx(clips[row["id"]].label, abs=0.0501)


def test_kept_chains_name_the_polarity_in_the_words_of_the_data_set_if_the_spec_says_so(made, tmp_path):
    prepared = shutil.copytree(made / "movie", tmp_path / "chinese")
    facts = json.loads((prepared / "dataset.json").read_text())
    (prepared / "dataset.json").write_text(json.dumps(facts | {"language": "zh"}))
    fmt = {"kind": "c2f", "polarity_words": "dataset"}
    inputs = {"prepare": prepared, "distil": made / "distil"}
    run(filter_stage, tmp_path / "f", inputs, filters=FILTERS, format=fmt)
    clips = {clip.id: clip for clip in read_manifest(prepared, "train")}
    words = {"negative": "消极", "neutral": "中性", "positive": "积极"}
    for row in read_jsonl(tmp_path / "f" / "chains.jsonl"):
        assert row["text"].startswith(f"<polarity>{words[clips[row['id']].polarity]}</polarity>\n\n<think>")


def test_filter_without_replacement_leaves_chains_alone(made, tmp_path):
    settings = {
        **ALL_OFF,
        "replace_score_with_label": False,
        "no_label_leak": {},
        "sections": {},
        "tag_score_sign": {},
    }
    summary = run_filter(made, tmp_path / "f", filters=settings)
    assert summary["dropped"] == {}
    assert (tmp_path / "f" / "chains.jsonl").read_bytes() == (made / "distil" / "chains.jsonl").read_bytes()


def test_tokens_are_counted_by_the_student_s_tokenizer(made, tmp_path):
    settings = {**ALL_OFF, "length": {"min": 1, "max": 1}, "polarity_match": {}, "min_keep_fraction": 0}
    with pytest.raises(InvalidData, match=r"'length': \d+"):
        run_filter(made, tmp_path / "f", filters=settings, student={"kind": "tiny"})
    tokenizer = make_tokenizer()
    dropped = [row for row in read_jsonl(tmp_path / "f" / "dropped.jsonl") if row["filter"] == "length"]
    assert len(dropped) > 30
    for row in dropped:
        count = len(tokenizer(parse_answer(C2f(), row["text"]).think)["input_ids"])
        assert row["reason"] == f"has {count} tokens, more than 1"


def test_filter_refuses_to_keep_too_little(made, tmp_path):
    strict = {**ALL_OFF, "polarity_match": {}, "score_tolerance": {"max_fraction": 1e-6}}
    with pytest.raises(InvalidData, match=r"kept \d+ of 60 clips .* `filters.min_keep_fraction` = 30%"):
        run_filter(made, tmp_path / "f", filters=strict)


def test_filter_refuses_labels_under_chains_that_contradict_them(made, tmp_path):
    with pytest.raises(InvalidStageSpec, match="`replace_score_with_label` without `polarity_match`"):
        run_filter(made, tmp_path / "f", filters={**ALL_OFF, "sections": {}})


def test_filter_refuses_a_chain_of_an_unknown_clip(made, tmp_path):
    with pytest.raises(InvalidData, match="is not of a training clip"):
        run_filter(made, tmp_path / "f", "nyt", filters=FILTERS)


def test_baseline_predicts_every_test_clip_of_every_set(made, tmp_path):
    tests = {f"test/icwsm2014-{domain}": made / domain for domain in ("movie", "nyt")}
    inputs = {"train": made / "movie", **tests}
    summary = run(baseline, tmp_path / "b", inputs, media=MEDIA)
    rows = list(read_jsonl(tmp_path / "b" / "predictions.jsonl"))
    tests = [c for d in ("movie", "nyt") for c in read_manifest(made / d, "test")]
    assert [(r["dataset"], r["id"], r["label"]) for r in rows] == [(c.dataset, c.id, c.label) for c in tests]
    assert set(rows[0]) == {"dataset", "id", "label", *baseline.COLUMNS}
    assert summary["clips"] == 40
    assert set(summary["corr"]) == {"icwsm2014-movie", "icwsm2014-nyt"}


@pytest.mark.parametrize("valid", [0, 60])
def test_baseline_finds_what_each_modality_carries_and_all_together_more(valid):
    """Planted: the rating is the sum of a word, a pitch and a mouth, each a third of its variance."""
    rng = np.random.default_rng(0)
    said, pitch, mouth = (rng.integers(-1, 2, 500), *rng.standard_normal((2, 500)) * 0.8)
    texts = [f"it is {('bad', 'so', 'good')[w + 1]}" for w in said]
    labels = said + pitch + mouth
    clips = [
        Clip(f"c{n}", "d", "", text, float(label), "neutral", "", 2.0, "")
        for n, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    measured = np.stack([pitch, rng.standard_normal(500), mouth, np.zeros(500)], axis=1)
    predicted = baseline.predict(clips, measured, train=300, valid=valid)
    found = {column: baseline.pearson(values[-140:], labels[-140:]) for column, values in predicted.items()}
    assert found["all"] > 0.98
    assert all(0.4 < found[column] < 0.75 for column in ("text", "voice", "face"))


def test_a_correlation_that_is_not_defined_is_none():
    assert baseline.pearson(np.ones(3), np.arange(3)) is None
    assert baseline.pearson(np.ones(1), np.ones(1)) is None
    assert baseline.pearson(np.arange(3), np.arange(3)) == 1.0


def test_baseline_refuses_a_set_without_training_clips(made, tmp_path):
    with pytest.raises(InvalidData, match="0 training clips"):
        run(baseline, tmp_path / "b", {"train": made / "nyt", "test/icwsm2014-nyt": made / "nyt"})


def test_a_clip_without_voice_or_face_has_that_of_the_mean():
    measured = np.array([[1.0, 2.0], [3.0, np.nan], [np.nan, 4.0]])
    assert baseline.fill_missing(measured, 2).tolist() == [[1.0, 2.0], [3.0, 2.0], [2.0, 4.0]]
    assert baseline.fill_missing(np.full((2, 1), np.nan), 1).tolist() == [[0.0], [0.0]]
