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
from c2f_spec.report.thumbnails import Thumbnail, thumbnail
from tests.support.browser import needs_browser
from tests.support.odd_clips import film
from tests.support.report_store import HOSTILE, filled

STATES = ("kept", "dropped", "failed", "none")


def gallery_of(clips=240, pictures=()):
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
    flagged = filter_outcomes(ChainOutcome("kept", flags={"length": "long"}), on)
    assert flagged[2] == ("length", "flagged", "long")
    rebalanced = filter_outcomes(ChainOutcome("dropped", "rebalance", "more than 4"), on)
    assert rebalanced[-1] == ("rebalance", "failed", "more than 4")
    assert filter_outcomes(ChainOutcome("none"), on) == []


def test_it_is_collected_from_what_stages_left(tmp_path):
    store = filled(tmp_path)
    found, again = (gallery(store.plan, Outputs(store.plan, store.objects)) for _ in range(2))
    first = found.sets[0]
    assert [one.name for one in found.sets] == ["icwsm2014-movie", "icwsm2014-nyt"]
    states = {v.state for v in first.outcomes}
    assert {"kept", "dropped"} <= states
    assert all(v.state == "none" for v in found.sets[1].outcomes)
    assert len(first.clips) == len(first.chains) == len(first.thumbnails) == len(first.outcomes)
    assert render(gallery_document(found)) == render(gallery_document(again))


def test_nothing_in_it_is_markup_and_its_data_comes_back():
    page = render(gallery_document(gallery_of(GALLERY_CHUNK + 1)))
    assert "alert(1)" not in page
    assert "default-src &#x27;none&#x27;" in page
    assert "unsafe" not in page
    blocks = dict(re.findall(r'<script id="([^"]+)" type="text/plain">([^<]*)</script>', page))
    assert set(blocks) == {"sets", "index-0", "clips-0-0", "clips-0-1"}
    index = json.loads(zlib.decompress(base64.b64decode(blocks["index-0"])))
    assert len(index["id"]) == GALLERY_CHUNK + 1
    assert index["text"][0].startswith("<script>alert(1)")


@pytest.fixture(scope="module")
def page(tab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    film(folder / "clip.mp4", side=(90, 160))
    pictured = gallery_of(pictures=(thumbnail(folder / "clip.mp4", 128),))
    (folder / "clips.html").write_text(render(gallery_document(pictured)), encoding="utf-8")
    tab.open(folder / "clips.html")
    tab.wait("document.querySelectorAll('.case-head img').length > 0")
    return tab


def counted(tab):
    """Return the clips that the page lists, by its own words."""
    return tab.texts(".count")[0].removesuffix(" of 240 clips")


def choose(tab, name, number):
    tab.run(
        f"(() => {{ const s = [...document.querySelectorAll('.tools label')].find((l) => l.firstChild.textContent === '{name}')"
        f".querySelector('select'); s.selectedIndex = {number}; s.dispatchEvent(new Event('change')); }})()"
    )


@needs_browser
def test_a_person_filters_sorts_and_opens_a_clip(page):
    assert counted(page) == "240"
    counts = {"kept": "60", "dropped": "60", "flagged": "30", "failed": "60", "none": "60", "all": "240"}
    for kind, count in counts.items():
        page.click(f"[data-kind={kind}]")
        assert counted(page) == count
    page.click("[data-kind=dropped]")
    for kind, name, number, count in (
        ("dropped", "dropped by", 3, "30"),
        ("dropped", "split", 3, "60"),
        ("all", "media", 1, "24"),
    ):
        page.click(f"[data-kind={kind}]")
        choose(page, name, number)
        assert counted(page) == count
        choose(page, name, 0)
    page.search("reason 9")
    assert counted(page) == "3"
    page.wait("document.querySelector('.outcomes')?.textContent.includes('reason 9')")
    page.search("")
    for _ in range(2):
        page.click(".rows-head button", 4)
    assert page.texts(".row :first-child")[0] == "clip-239"


@needs_browser
def test_the_picture_sound_and_text_of_a_clip_are_on_the_page_and_nothing_in_it_runs(page):
    for selector in ("[data-kind=all]", ".rows-head button", ".row"):
        page.click(selector)
    page.wait("document.querySelector('.facts').textContent.startsWith('clip-000')")
    assert page.wait("document.querySelector('.case-head img').naturalWidth") == 128
    assert len(page.texts(".case-head .wave path")) == 1
    assert "<script>alert(1)" in page.texts(".quote")[0]
    outcomes = ["format: passed", "polarity_match: passed", "length: flagged, too long"]
    assert [line[2:] for line in page.texts(".outcomes li")] == outcomes
    assert len(page.texts(".side .in-polarity")) == 1
    assert page.complaints() == page.requests() == []
    page.picture("gallery", whole=True)


def test_before_anything_is_prepared_the_error_names_the_command_to_run(c2f):
    c2f("init", "specs/mine.yaml")
    refused = c2f("data", "show", "specs/mine.yaml", "--on", "local", check=64)
    assert "is prepared: " in refused.stderr
    assert "c2f-spec apply specs/mine.yaml --until prepare" in refused.stderr
