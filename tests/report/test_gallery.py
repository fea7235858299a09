"""`data show`: the clips of an experiment as a page, collected, escaped, and looked at in a real browser."""

from __future__ import annotations

import base64
import json
import re
import zlib

import pytest

from c2f_spec.report.gallery import ChainOutcome, Gallery, GallerySet, filter_outcomes, gallery
from c2f_spec.report.html import render
from c2f_spec.report.outputs import Outputs
from c2f_spec.report.page_data import GALLERY_CHUNK, gallery_document
from c2f_spec.report.thumbnails import Thumbnail
from tests.support.browser import browser, opened
from tests.support.odd_clips import film
from tests.support.report_store import HOSTILE, filled

STATES = ("kept", "dropped", "failed", "none")


def made(clips=240, pictures=()):
    """A gallery of which every fourth clip is kept, dropped, without an answer, without a chain."""
    rows = tuple(
        {"id": f"clip-{i:03}", "text": f"words {i}" if i else HOSTILE, "label": (i % 7) - 3.0, "split": ("train", "test")[i % 2],
         "polarity": ("negative", "neutral", "positive")[i % 3], "duration_s": 1.0 + i / 10, "lacks": ["audio"] if i % 10 == 0 else []}
        for i in range(clips)
    )  # fmt: skip
    outcomes = tuple(
        ChainOutcome("kept", flags={"length": "too long"} if i % 8 == 0 else {}) if i % 4 == 0
        else ChainOutcome("dropped", ("polarity_match", "length")[i % 8 > 3], f"reason {i}") if i % 4 == 1
        else ChainOutcome(STATES[i % 4], reason="timed out" if i % 4 == 2 else "")
        for i in range(clips)
    )  # fmt: skip
    chains = tuple(
        f"<polarity>Negative</polarity>\n\n<think>\n1. Clues: {HOSTILE}\n</think>" if i % 4 < 2 else ""
        for i in range(clips)
    )
    seen = tuple(
        pictures[i % len(pictures)] if pictures else Thumbnail(None, b"", "no picture") for i in range(clips)
    )
    shown = GallerySet("mine", False, rows, chains, outcomes, seen)
    return Gallery("demo", ("format", "polarity_match", "length"), (shown,), ("cmu-mosi: not run",))


def test_each_filter_has_its_outcome():
    on = ("format", "polarity_match", "length")
    assert filter_outcomes(ChainOutcome("dropped", "polarity_match", "wrong"), on) == [
        ("format", "passed", ""), ("polarity_match", "failed", "wrong"), ("length", "not run", ""),
    ]  # fmt: skip
    assert filter_outcomes(ChainOutcome("kept", flags={"length": "long"}), on)[2] == (
        "length",
        "flagged",
        "long",
    )
    assert filter_outcomes(ChainOutcome("dropped", "rebalance", "more than 4"), on)[-1] == (
        "rebalance",
        "failed",
        "more than 4",
    )
    assert filter_outcomes(ChainOutcome("none"), on) == []


def test_it_is_collected_from_what_stages_left(tmp_path):
    store = filled(tmp_path)
    found = gallery(store.plan, Outputs(store.plan, store.objects))
    first = found.sets[0]
    assert [one.name for one in found.sets] == ["icwsm2014-movie", "icwsm2014-nyt"]
    states = {v.state for v in first.outcomes}
    assert {"kept", "dropped"} <= states
    assert all(v.state == "none" for v in found.sets[1].outcomes)
    assert len(first.clips) == len(first.chains) == len(first.thumbnails) == len(first.outcomes)
    assert render(gallery_document(found)) == render(
        gallery_document(gallery(store.plan, Outputs(store.plan, store.objects)))
    )


def test_nothing_in_it_is_markup_and_its_data_comes_back():
    page = render(gallery_document(made(GALLERY_CHUNK + 1)))
    assert "alert(1)" not in page
    assert "default-src &#x27;none&#x27;" in page
    assert "unsafe" not in page
    blocks = dict(re.findall(r'<script id="([^"]+)" type="text/plain">([^<]*)</script>', page))
    assert set(blocks) == {"sets", "index-0", "clips-0-0", "clips-0-1"}
    index = json.loads(zlib.decompress(base64.b64decode(blocks["index-0"])))
    assert len(index["id"]) == GALLERY_CHUNK + 1
    assert index["text"][0].startswith("<script>alert(1)")


needs_browser = pytest.mark.skipif(
    browser() is None, reason="no Chromium: install Debian's `chromium`, or name one in C2F_CHROMIUM"
)


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    pytest.importorskip("websocket")
    from c2f_spec.report.thumbnails import thumbnail

    folder = tmp_path_factory.mktemp("gallery")
    film(folder / "clip.mp4", side=(90, 160))
    (folder / "clips.html").write_text(
        render(gallery_document(made(pictures=(thumbnail(folder / "clip.mp4", 128),)))), encoding="utf-8"
    )
    with opened(folder / "browser") as tab:
        tab.open(folder / "clips.html")
        tab.wait("document.querySelectorAll('.case-head img').length > 0")
        yield tab


def shown(tab):
    return tab.run("document.querySelector('.count').textContent")


def press(tab, kind):
    tab.run(f"document.querySelector('[data-kind={kind}]').click()")


def choose(tab, name, number):
    tab.run(
        f"(() => {{ const s = [...document.querySelectorAll('.tools label')].find((l) => l.firstChild.textContent === '{name}')"
        f".querySelector('select'); s.selectedIndex = {number}; s.dispatchEvent(new Event('change')); }})()"
    )


@needs_browser
def test_a_person_filters_sorts_and_opens_a_clip(tab):
    assert shown(tab) == "240 of 240 clips"
    for kind, count in (
        ("kept", 60),
        ("dropped", 60),
        ("flagged", 30),
        ("failed", 60),
        ("none", 60),
        ("all", 240),
    ):
        press(tab, kind)
        assert shown(tab) == f"{count} of 240 clips"
    press(tab, "dropped")
    choose(tab, "dropped by", 3)
    assert shown(tab) == "30 of 240 clips"
    choose(tab, "dropped by", 0)
    choose(tab, "split", 3)
    assert shown(tab) == "60 of 240 clips"
    choose(tab, "split", 0)
    press(tab, "all")
    choose(tab, "media", 1)
    assert shown(tab) == "24 of 240 clips"
    choose(tab, "media", 0)
    tab.run(
        "const box = document.querySelector('input[type=search]'); box.value = 'reason 9'; box.dispatchEvent(new Event('input'))"
    )
    assert shown(tab) == "3 of 240 clips"
    tab.wait("document.querySelector('.outcomes')?.textContent.includes('reason 9')")
    tab.run(
        "const box2 = document.querySelector('input[type=search]'); box2.value = ''; box2.dispatchEvent(new Event('input'))"
    )
    tab.run(
        "document.querySelectorAll('.rows-head button')[4].click(); document.querySelectorAll('.rows-head button')[4].click()"
    )
    first = tab.run("document.querySelector('.row').children[0].textContent")
    assert first == "clip-239"


@needs_browser
def test_the_clip_is_seen_heard_read_and_nothing_in_it_runs(tab):
    press(tab, "all")
    tab.run("document.querySelectorAll('.rows-head button')[0].click()")
    tab.run("document.querySelector('.row').click()")
    tab.wait("document.querySelector('.facts').textContent.startsWith('clip-000')")
    assert tab.wait("document.querySelector('.case-head img').naturalWidth") == 128
    assert tab.run("document.querySelectorAll('.case-head .wave path').length") == 1
    assert "<script>alert(1)" in tab.run("document.querySelector('.quote').textContent")
    outcomes = tab.run("[...document.querySelectorAll('.outcomes li')].map((one) => one.textContent)")
    assert [line[2:] for line in outcomes] == [
        "format: passed",
        "polarity_match: passed",
        "length: flagged, too long",
    ]
    assert tab.run("document.querySelectorAll('.side .in-polarity').length") == 1
    assert tab.complaints() == []
    assert tab.requests() == []
    tab.picture("gallery", whole=True)


def test_before_anything_is_prepared_it_says_what_to_do(c2f):
    c2f("init", "specs/mine.yaml")
    refused = c2f("data", "show", "specs/mine.yaml", "--on", "local", check=64)
    assert "is prepared: " in refused.stderr
    assert "c2f-spec apply specs/mine.yaml --until prepare" in refused.stderr
