"""What the report shows: a page that needs nothing from outside, and text that means to do harm and does nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.report.markup import clean, el, fence, inline, line
from c2f_spec.report.outline import html, markdown
from tests.support.report_store import HOSTILE


class Elements(HTMLParser):
    """Names and attributes of all elements, and whether each is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_needs_nothing_from_outside(report):
    page = html(report)
    elements = Elements(page)
    assert elements.open == []
    policy = next(a["content"] for t, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith(
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'sha256-"
    )
    assert "unsafe" not in policy
    names = {tag for tag, _ in elements.found}
    run = [a for t, a in elements.found if t == "script" and a.get("type") != "text/plain"]
    assert run == [{}]  # one script, and the policy has its hash
    assert not names & {"link", "iframe", "object", "embed", "form", "base", "video", "audio"}
    for tag, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes), tag
        assert str(attributes.get("href", "#")).startswith("#")
        assert str(attributes.get("src", "data:image/jpeg;base64,")).startswith("data:image/jpeg;base64,")
        assert "style" not in attributes
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_every_anchor_has_its_place(report):
    found = Elements(html(report)).found
    places = {a["id"] for _, a in found if "id" in a}
    assert {a["href"].removeprefix("#") for t, a in found if t == "a"} <= places


def test_hostile_text_is_on_the_page_and_does_nothing(report):
    page = html(report)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == page.count("</style>") == 1
    assert "\u202e" not in page
    assert "javascript:" not in {a.get("href") for _, a in Elements(page).found}


def parsed(text, preset="gfm-like"):
    """Return the tokens of a Markdown text."""
    markdown_it = pytest.importorskip("markdown_it")
    return markdown_it.MarkdownIt(preset, {"linkify": False}).parse(text)


def test_hostile_markdown_has_no_links_images_or_html(report):
    tokens = parsed(markdown(report))
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline"}
    assert "table_open" in kinds


TEXT = st.text(alphabet="ab01 \n\t\\`*_{}[]()<>#+-.!|~$:=^/@&\"'wW\x00\u202e\ud800é中", max_size=40)


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_any_line_of_markdown_is_one_paragraph_of_text(text):
    line(text).encode()
    tokens = parsed(line(text))
    assert [t.type for t in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    children = [c for t in tokens for c in t.children or ()]
    assert {c.type for c in children} <= {"text", "text_special"}
    plain = "".join(c.content for c in children).replace("\u200b", "")
    assert plain == " ".join(clean(text).split())


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_cell_stays_one_cell(text):
    tokens = parsed(f"| a | b |\n| --- | --- |\n| {inline(text)} | end |")
    assert [t.type for t in tokens].count("td_open") == 2
    assert {c.type for t in tokens for c in t.children or ()} <= {"text", "text_special"}


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_stays_in_its_fence(text):
    tokens = parsed(fence(text) + "\n\nafter", "commonmark")
    assert [t.type for t in tokens][:2] == ["fence", "paragraph_open"]


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_stays_text_in_html(text):
    page = el("p", text, title=text)
    page.encode()
    elements = Elements(page)
    assert elements.found == [("p", {"title": clean(text)})]
    assert elements.open == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [("see www.x.org", "www\u200b."), ("HTTPS://x.org", "HTTPS\u200b:"), ("@all", "@\u200ball")],
)
def test_nothing_becomes_a_link_or_a_mention_by_itself(text, shown):
    assert shown in inline(text)


def test_hostile_constant_is_hostile():
    assert all(part in HOSTILE for part in ("<script>", "](", "@", "`", "|", "\u202e"))
