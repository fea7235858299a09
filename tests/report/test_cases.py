"""Answers side by side: which clips RL fixed, broke, or found hard, and what the page holds of them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace

import pytest

from c2f_spec.report import cases
from c2f_spec.report.collect import collect
from c2f_spec.report.markup import data_block
from c2f_spec.report.outline import html
from c2f_spec.report.page_data import case_blocks
from tests.support.report_store import HOSTILE, experiment, filled, unfilled

ROLLOUT = {
    "step": 1,
    "completion": "<polarity>Negative</polarity>\n\n<think>\nx\n</think>\n\n<score>-1.5</score>",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """RL answered two training clips, one of them with a hint."""
    store = filled(tmp_path_factory.mktemp("cases"), skip=("reinforcement learning (GRPO)",))
    rows = [
        {**ROLLOUT, "clip": "train-0", "hinted": True},
        {**ROLLOUT, "clip": "train-1", "hinted": False, "completion": "no idea"},
    ]
    seen = [{"clip": "train-0", "hard": 1}, {"clip": "train-1", "hard": 0}]
    files = {
        name: "\n".join(map(json.dumps, lines))
        for name, lines in (("rollouts.jsonl", rows), ("hints.jsonl", seen))
    }
    store.write(store.stage("reinforcement learning (GRPO)"), files)
    return collect(store.plan, store.objects)


def test_every_test_clip_has_every_answer(report):
    movie, nyt, trained = sorted(report.cases, key=lambda s: s.title)
    assert movie.title == "Test clips of icwsm2014-movie"
    assert (len(movie.ids), len(nyt.ids), len(trained.ids)) == (60, 60, 2)
    assert [c.title for c in movie.columns] == ["zero-shot", "SFT", "GRPO"]
    assert movie.trio == (0, 1, 2)
    assert movie.texts[0] == "Sentence test-0 of icwsm2014-movie."
    assert movie.columns[0].right[0] == "-"
    assert movie.columns[0].outputs[0] == "no idea"


def test_hard_is_what_nobody_had_right_before(report):
    movie = next(s for s in report.cases if "movie" in s.title and not s.training)
    for i, hard in enumerate(movie.hard):
        assert (hard == "1") == (movie.columns[0].right[i] != "1" and movie.columns[1].right[i] != "1")
    trained = next(s for s in report.cases if s.training)
    assert dict(zip(trained.ids, trained.hard, strict=True)) == {"train-0": "1", "train-1": "0"}
    assert [c.title for c in trained.columns] == ["teacher", "first answer", "with the hint"]
    assert [c.right for c in trained.columns] == ["11", "--", "1-"]
    assert trained.columns[2].scores == (-1.5, None)


def test_pictures_are_of_clips_of_each_kind_in_turn(report):
    trained = next(s for s in report.cases if s.training)
    assert list(trained.thumbnails) == [0, 1]
    assert trained.thumbnails[0].jpeg.startswith(b"\xff\xd8")
    movie = next(s for s in report.cases if "movie" in s.title and not s.training)
    assert set(movie.thumbnails) <= {0, 1}, "only two test clips are in the store"
    assert cases._kinds(movie.columns, movie.trio, movie.hard)[0]


def test_scores_without_tags_are_classified_by_the_family():
    row = {"true": "neutral", "polarity": None}
    assert [cases._right({**row, "score": s}, 0.1) for s in (0.1, -0.1, 0.11, None)] == ["1", "0", "0", "-"]
    assert [cases._right({**row, "score": s}, 0.0) for s in (0.0, -0.01, 0.01)] == ["1", "0", "0"]


def test_too_many_answers_are_left_out_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "MOST", 100)
    store = filled(tmp_path, experiment(), experiment(name="other", seed=7, grpo={"steps": 3}))
    found = collect(store.plan, store.objects).cases[0]
    assert [c.title for c in found.columns] == ["zero-shot (demo)"]
    assert found.left_out == ("SFT (demo)", "GRPO (demo)", "SFT (other)", "GRPO (other)")


def test_data_blocks_hold_any_text_and_nothing_that_a_browser_reads(report):
    one = replace(report.cases[0], texts=(HOSTILE + "</script>", *report.cases[0].texts[1:]))
    for name, value in case_blocks((one,)):
        block = data_block(name, value)
        text = re.fullmatch(r'<script id="[a-z0-9-]+" type="text/plain">([A-Za-z0-9+/=]*)</script>', block)[1]
        json.loads(zlib.decompress(base64.b64decode(text)))


def test_a_report_without_answers_has_no_script(tmp_path):
    store = unfilled(tmp_path)
    page = html(collect(store.plan, store.objects))
    assert "<script" not in page
    assert "script-src" not in page
