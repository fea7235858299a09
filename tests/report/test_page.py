"""The report's page in a real browser: light and dark, on a phone, on paper; its cases filtered, sorted and opened.

With `C2F_SCREENSHOTS=FOLDER` pictures of all of them are kept there.
"""

from __future__ import annotations

import pytest

from c2f_spec.report.collect import collect
from c2f_spec.report.outline import html
from tests.support.browser import needs_browser
from tests.support.report_store import filled

pytestmark = needs_browser
ENTER = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
READY = "document.querySelectorAll('#cases-view .side').length > 0"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    store = filled(folder)
    path = folder / "report.html"
    path.write_text(html(collect(store.plan, store.objects)), encoding="utf-8")
    return path


@pytest.fixture
def cases(tab, page):
    tab.open(page)
    tab.wait(READY)
    return tab


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("light", 1200, False), ("dark", 1200, True), ("narrow", 400, False), ("narrow-dark", 400, True)],
)
def test_the_page_fits_and_sends_no_request(tab, page, name, width, dark):
    tab.open(page, width=width, dark=dark)
    tab.wait(READY)
    tab.picture(f"report-{name}", whole=True)
    assert tab.run("document.documentElement.scrollWidth") <= width
    ground = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) < 200) is dark
    assert tab.complaints() == tab.requests() == []


def test_it_prints(tab, page):
    tab.open(page, media="print")
    tab.wait(READY)
    assert tab.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
    assert tab.printed("report").startswith(b"%PDF")


def test_the_filters_count_and_show_what_became_of_clips(cases):
    chips = cases.run(
        "[...document.querySelectorAll('.chips button')].map((b) => [b.dataset.kind, b.textContent])"
    )
    counts = {kind: int(text.rsplit(" ", 1)[1]) for kind, text in chips}
    assert counts["all"] == 60
    assert counts["fixed"] > 0
    cases.click("[data-kind=fixed]")
    assert cases.texts(".count") == [f"{counts['fixed']} of 60 clips"]
    changes = cases.run("[...document.querySelectorAll('.row')].map((r) => r.children[6].textContent)")
    assert set(changes) == {"fixed by RL"}
    cases.search("TEST-5")
    cases.click("[data-kind=all]")
    ids = cases.run("[...document.querySelectorAll('.row')].map((r) => r.children[0].textContent)")
    assert ids[0] == "test-5"
    assert set(ids) <= {"test-5", *(f"test-5{i}" for i in range(10))}


def test_a_clip_has_its_answers_side_by_side(cases):
    cases.click("[data-kind=broken]")
    cases.click(".row")
    heads = cases.wait("[...document.querySelectorAll('.side h4')].map((h) => h.textContent)")
    assert [h.split()[-1] for h in heads[1:]] == ["right", "wrong"] or heads[2].endswith("answer")
    assert len(cases.texts(".side .in-polarity")) >= 1
    assert cases.texts(".side .tag")[0] in ("<polarity>", "(no answer)")
    cases.picture("report-case", whole=True)


def test_it_sorts_by_any_head_and_changes_the_data_set(cases):
    cases.click(".rows-head button", 2)
    labels = cases.run(
        "[...document.querySelectorAll('.row')].map((r) => parseFloat(r.children[2].textContent.replace('\\u2212', '-')))"
    )
    assert labels == sorted(labels)
    cases.run(
        "const s = document.querySelector('.tools select'); s.selectedIndex = 1; s.dispatchEvent(new Event('change'))"
    )
    cases.wait("document.querySelector('.rows').getAttribute('aria-label').includes('nyt')")
    assert cases.complaints() == []


def test_the_keyboard_has_a_visible_focus_that_stays(cases):
    cases.run("document.querySelector('[data-kind=fixed]').focus()")
    for kind in ("keyDown", "keyUp"):
        cases.ask("Input.dispatchKeyEvent", type=kind, **ENTER)
    assert cases.run("document.activeElement.dataset.kind") == "fixed"
    assert cases.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    cases.run("document.querySelector('.rows-head button').focus({focusVisible: true})")
    assert cases.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
