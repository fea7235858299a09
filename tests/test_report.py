"""The report of a small store: complete, partial, repeated, and fed with text that means to do harm."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import wave
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.report import numbers
from c2f_spec.report.collect import collect
from c2f_spec.report.columns import columns
from c2f_spec.report.curves import MOST
from c2f_spec.report.defaults import not_in_the_paper
from c2f_spec.report.glimpse import BINS, glimpse
from c2f_spec.report.html import html
from c2f_spec.report.markdown import markdown
from c2f_spec.report.markup import el
from c2f_spec.report.model import Chart, Series
from c2f_spec.report.svg import line_chart, ticks
from c2f_spec.report.text import clean, fence, inline, line
from c2f_spec.store import records
from c2f_spec.store.sealed import seal, unseal
from tests.report_store import HOSTILE, SPEC, experiment, filled


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(store):
    return collect(store.plan, store.objects)


def reviewed(report) -> str:
    """The page without the plan's digest, which every change of the runtime changes."""
    return re.sub("Plan [0-9a-f]{16}", "Plan <digest>", markdown(report))


def test_markdown_is_as_reviewed(report, golden):
    golden("report/demo.md", reviewed(report))


def test_partial_report_is_as_reviewed(tmp_path, golden):
    """Training failed, so what needs it has not run; one evaluation and the baselines have not either."""
    missing = ("reinforcement learning (GRPO)", "ridge baselines", "evaluate base on icwsm2014-nyt")
    store = filled(
        tmp_path, skip=(*missing, "evaluate grpo on icwsm2014-nyt", "evaluate grpo on icwsm2014-movie")
    )
    failed = store.stage(missing[0])
    records.add_failure(store.objects, failed.kind, failed.key, {"message": "loss is <b>nan</b>\nat step 3"})
    report = collect(store.plan, store.objects)
    golden("report/partial.md", reviewed(report))
    page = html(report)
    assert "failed: loss is &lt;b&gt;nan&lt;/b&gt; at step 3" in page
    assert page.count("not run") >= 6
    assert "Partial: 5 of 13 stages have no result" in page


def test_a_plan_of_which_nothing_ran(tmp_path):
    labels = tuple(s.label for s in filled(tmp_path / "a").plan.stages)
    store = filled(tmp_path / "b", skip=labels)
    report = collect(store.plan, store.objects)
    assert {s.state for s in report.stages} == {"not run"}
    assert "13 of 13 stages have no result" in html(report)
    assert "13 of 13 stages have no result" in markdown(report)


def test_a_damaged_output_is_told_and_not_read(tmp_path):
    store = filled(tmp_path)
    stage = store.stage("evaluate grpo on icwsm2014-movie")
    folder = store.objects.local(records.attempt_name(stage.kind, stage.key, "a1"))
    (folder / "predictions.jsonl").write_text("")
    report = collect(store.plan, store.objects)
    row = next(r for r in report.sections[0].tables[0].rows if r.model == "grpo")
    assert row.state.startswith("damaged")
    assert not row.scores


@pytest.mark.parametrize("origin", [{"changed": ["specs/demo.yaml"]}, {"changed": [], "patch": "0" * 64}])
def test_what_a_dirty_tree_made_is_marked(origin, tmp_path):
    store = filled(tmp_path)
    stage = store.stage("reinforcement learning (GRPO)")
    path = store.objects.local(records.record_name(stage.kind, stage.key))
    record = unseal(path.read_bytes())
    path.write_bytes(seal({**record, "provenance": {**record["provenance"], "origin": origin}}))
    report = collect(store.plan, store.objects)
    assert "Dirty: 1 of 13 stages was launched from a tree" in markdown(report)
    assert "reinforcement learning (GRPO) (dirty tree)" in html(report)


def test_the_same_store_gives_the_same_bytes(tmp_path, report):
    again = filled(tmp_path)
    other = collect(again.plan, again.objects)
    assert other == report
    assert html(other) == html(report)
    assert markdown(other) == markdown(report)


# What is found.


def test_in_domain_comes_first_and_every_model_is_there(report):
    tables = report.sections[0].tables
    assert [(t.data.name, t.data.domain) for t in tables] == [
        ("icwsm2014-movie", "in-domain"),
        ("icwsm2014-nyt", "out-of-domain"),
    ]
    models = ["base", "sft", "grpo", "ridge text", "ridge voice", "ridge face", "ridge all"]
    assert [[r.model for r in t.rows] for t in tables] == [models, models]
    assert [c.title for c in columns(tables[0], "worst_case")][:3] == ["Acc7", "Acc2 [95 %]", "Acc2 parsed"]


def test_learned_says_against_what(report):
    found = {one.model: one for one in report.sections[0].learned}
    assert [c.over for c in found["sft"].comparisons] == ["the majority class", "base"]
    assert [c.over for c in found["grpo"].comparisons] == ["the majority class", "base", "sft"]
    assert found["grpo"].comparisons[0].excludes_zero is True
    assert found["grpo"].comparisons[2].excludes_zero is False


def test_it_says_what_is_rendered_and_tiny(report):
    said = " ".join(report.sections[0].honesty)
    assert "icwsm2014-movie and icwsm2014-nyt are rendered" in said
    assert "say nothing about the paper's results" in said


def test_a_training_set_that_is_rendered_is_told_even_if_it_is_not_evaluated(tmp_path):
    evaluate = {**SPEC["evaluate"], "datasets": ["cmu-mosi", "ch-sims"]}
    store = filled(tmp_path, experiment(evaluate=evaluate))
    section = collect(store.plan, store.objects).sections[0]
    assert section.learned == ()
    assert any("icwsm2014-movie" in line and "rendered" in line for line in section.honesty)
    sims = next(t for t in section.tables if t.data.name == "ch-sims")
    assert columns(sims, "worst_case")[0].title == "Acc5"


def test_data_that_contains_the_training_data_is_not_called_out_of_domain(tmp_path):
    spec = experiment(
        data={"train": "ch-sims"}, evaluate={"checkpoints": ["base"], "datasets": ["ch-sims-v2", "ch-sims"]}
    )
    store = filled(tmp_path, spec)
    tables = collect(store.plan, store.objects).sections[0].tables
    assert [t.data.domain for t in tables] == ["in-domain", "overlaps the training data"]


def test_hinted_rewards_have_gaps_where_nothing_was_hinted(report):
    grpo = report.sections[0].curves[1]
    assert [s.name for s in grpo.charts[0].series] == ["without hint", "with hint"]
    hinted = grpo.charts[0].series[1].points
    assert [step for step, value in hinted if value is None] == [3, 6, 9, 12, 15, 18]
    assert [c.title for c in grpo.charts][2:] == ["Hinted groups", "KL from the start model"]


def test_long_curves_are_averaged(tmp_path):
    store = filled(tmp_path, skip=("supervised fine-tuning",))
    rows = "".join(json.dumps({"step": i, "loss": float(i)}) + "\n" for i in range(1000))
    store.write(store.stage("supervised fine-tuning"), {"metrics.jsonl": rows})
    chart = collect(store.plan, store.objects).sections[0].curves[0].charts[0]
    assert len(chart.series[0].points) == 250 <= MOST
    assert chart.series[0].points[0] == (1.5, 1.5)
    assert "mean of 4 steps" in chart.note


def test_metrics_that_are_not_numbers_are_gaps(tmp_path):
    store = filled(tmp_path, skip=("supervised fine-tuning",))
    rows = '{"step": 1, "loss": NaN}\nnot json\n{"step": 2, "loss": "x"}\n[]\n{"step": 3, "loss": 1.0}\n'
    store.write(store.stage("supervised fine-tuning"), {"metrics.jsonl": rows})
    found = collect(store.plan, store.objects)
    assert found.sections[0].curves[0].charts[0].series[0].points == ((1, None), (2, None), (3, 1.0))
    assert "nan" not in html(found)


def test_examples_are_varied(report):
    kept, dropped, answers = report.sections[0].examples
    assert [e.polarity for e in kept.examples] == ["negative", "neutral", "positive"]
    assert {e.verdict.split(":")[0] for e in dropped.examples} == {
        "dropped by polarity_match",
        "dropped by score_tolerance",
    }
    assert len(answers.examples) == 3
    assert kept.examples[0].jpeg is not None
    assert kept.examples[1].no_picture == "no picture: the clip cannot be decoded"


def test_defaults_that_the_paper_does_not_give():
    found = {d.path: d.value for d in not_in_the_paper(experiment())}
    assert found["grpo.temperature"] == "1.0"
    assert found["grpo.hint.trigger.threshold"] == "auto"
    assert "grpo.beta" not in found
    assert "sft.epochs" not in found


def test_variants_share_what_is_the_same(tmp_path):
    other = experiment(name="other-seed", seed=7)
    store = filled(tmp_path, experiment(), other)
    page = html(collect(store.plan, store.objects))
    text = markdown(collect(store.plan, store.objects))
    assert page.count("The same as in demo.") == text.count("The same as in demo.") == 3
    assert '<a href="#variant-1">other-seed</a>' in page
    assert len(set(re.findall(r'id="([^"]+)"', page))) == len(re.findall(r'id="([^"]+)"', page))


# What is shown.


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


def test_hostile_text_is_shown_and_does_nothing(report):
    page = html(report)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script>") == page.count("</style>") == 1
    assert "\u202e" not in page
    assert "javascript:" not in {a.get("href") for _, a in Elements(page).found}


def test_hostile_markdown_has_no_links_images_or_html(report):
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(markdown(report))
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline"}
    assert "table_open" in kinds


TEXT = st.text(alphabet="ab01 \n\t\\`*_{}[]()<>#+-.!|~$:=^/@&\"'wW\x00\u202e\ud800é中", max_size=40)


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_any_line_of_markdown_is_one_paragraph_of_text(text):
    markdown_it = pytest.importorskip("markdown_it")
    shown = line(text)
    shown.encode()
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(shown)
    assert [t.type for t in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    children = [c for t in tokens for c in t.children or ()]
    assert {c.type for c in children} <= {"text", "text_special"}
    plain = "".join(c.content for c in children).replace("\u200b", "")
    assert plain == " ".join(clean(text).split())


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_cell_stays_one_cell(text):
    markdown_it = pytest.importorskip("markdown_it")
    table = f"| a | b |\n| --- | --- |\n| {inline(text)} | end |"
    tokens = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parse(table)
    assert [t.type for t in tokens].count("td_open") == 2
    assert {c.type for t in tokens for c in t.children or ()} <= {"text", "text_special"}


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_any_text_stays_in_its_fence(text):
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt().parse(fence(text) + "\n\nafter")
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


# Pictures and numbers.


def test_without_a_decoder_there_is_a_hint(tmp_path):
    """In a process that cannot import PyAV."""
    code = (
        "import importlib.util as u, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'av' else find(name, *a)\n"
        "from pathlib import Path\n"
        "from c2f_spec.report.glimpse import glimpse\n"
        f"print(glimpse(Path({str(tmp_path / 'x.mp4')!r})).problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "no picture: install c2f-spec[runtime]\n"


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x20ftypisom" + bytes(40)])
def test_a_broken_clip_is_no_error(tmp_path, content):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert glimpse(path).jpeg is None
    assert glimpse(path).problem


def test_the_first_frame_is_the_clips(report):
    import av

    with av.open(
        io.BytesIO(report.sections[0].examples[0].examples[0].jpeg), format="image2pipe"
    ) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert pixels.shape == (64, 64, 3)
    assert abs(pixels[32, 32].astype(int) - (200, 120, 40)).max() < 12


def test_the_waveform_is_as_loud_as_the_sound(tmp_path):
    """A second of silence, then one at half of full scale; no picture."""
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000) + struct.pack("<h", 16384) * 16000)
    found = glimpse(path)
    assert (found.jpeg, found.problem) == (None, "no picture: the clip is sound alone")
    assert len(found.wave) == BINS
    assert max(found.wave[: BINS // 2 - 2]) == 0
    assert all(abs(peak - 127) < 8 for peak in found.wave[BINS // 2 + 2 : -2])


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
@settings(max_examples=200, deadline=None)
def test_ticks_cover_the_values(low, span):
    found = ticks(low, low + span)
    assert found == sorted(set(found))
    assert 2 <= len(found) <= 8
    slack = 1e-6 * max(1.0, abs(low), span)
    assert found[0] <= low + slack
    assert found[-1] >= low + span - slack


def test_a_chart_of_one_point_is_a_mark():
    chart = line_chart(Chart("Loss", "nats", (Series("loss", ((5, 1.0),)),)))
    assert chart.count("<circle") == 1
    assert "<polyline" not in chart


def test_a_line_is_broken_where_a_step_has_no_value():
    points = ((1, 1.0), (2, 2.0), (3, None), (4, 1.0), (5, 2.0))
    assert line_chart(Chart("Loss", "nats", (Series("loss", points),))).count("<polyline") == 2


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (numbers.percent, 0.56789, "56.8"),
        (numbers.percent, None, "n/a"),
        (numbers.points, -0.0123, "-1.2"),
        (numbers.points, 0.0, "+0.0"),
        (numbers.three, -0.0, "0.000"),
        (numbers.three, float("nan"), "n/a"),
        (numbers.count, 12345, "12,345"),
        (numbers.label, -1.3, "-1.3"),
        (numbers.label, 0.0, "0"),
        (numbers.seconds, 0.234, "0.23 s"),
        (numbers.seconds, 245, "4 min 05 s"),
        (numbers.seconds, 7380, "2 h 03 min"),
    ],
)
def test_numbers_as_people_read_them(show, value, text):
    assert show(value) == text


def test_the_report_imports_neither_torch_nor_the_runtime():
    code = (
        "import sys, c2f_spec.report.collect, c2f_spec.report.html, c2f_spec.report.markdown\n"
        "print(sorted({'torch', 'runtime', 'av', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
