"""Each filter on chains that it must keep and must drop, and the order of all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from c2f_spec.spec import filters as specs
from c2f_spec.spec import support
from c2f_spec.spec.sections import C2f
from runtime import filters
from runtime.chains import parse, target
from runtime.clips import Clip, polarity_of
from runtime.filters import FILTERS
from runtime.stages.filter import first_failed, with_label

EN = """\
1. Dialogue Content Clues Analysis: the words are clearly positive.
2. Visual Clues Analysis: the mouth curves up slightly.
3. Audio Clues Analysis: the voice is of middle pitch.
4. Mixed Clues Comprehensive Analysis: overall clearly positive."""
ZH = """\
1. 对话内容线索分析：说话人的用词明显积极，没有任何抱怨或不满的意思在里面。
2. 视觉线索分析：嘴角上扬，眉毛抬起，面部表情十分放松，目光一直看着镜头。
3. 音频线索分析：声音偏高，语速轻快，能量充足，听起来像是在笑着说话一样。
4. 混合线索综合分析：三种线索互相一致，整体上可以认为情感明显是积极的。"""
MOSI = {"low": -3.0, "high": 3.0, "family": "mosi"}
SIMS = {"low": -1.0, "high": 1.0, "family": "sims"}


def drops(name, text, label=1.0, facts=MOSI, **settings):
    """The reason of filter `name`, run alone."""
    spec = None if name == "format" else specs.Filters(**{name: settings})
    clip = Clip("c", "d", "train", "", label, polarity_of(label, facts["family"]), "", 1.0, "")
    return FILTERS[name](parse(C2f(), text), clip, facts, spec and getattr(spec, name))


def chain(polarity="positive", think=EN, score=1.0):
    return target(C2f(), polarity, think, score)


def test_filters_run_in_the_order_of_the_spec_and_each_is_a_file():
    assert tuple(FILTERS) == ("format", *(n for n in specs.NAMES if n in support.FILTERS))
    folder = Path(filters.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} - {"__init__"} == set(FILTERS)
    for name, check in FILTERS.items():
        assert check.__module__ == f"runtime.filters.{name}"


def test_the_registry_holds_imports_and_the_dict_only():
    """The digest of code leaves this file out, so a change in it must change no result."""
    body = ast.parse(Path(filters.__file__).read_text()).body[1:]
    assert isinstance(body.pop(), ast.AnnAssign)
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.If) for node in body)


@pytest.mark.parametrize("name", FILTERS)
def test_a_good_chain_is_kept(name):
    assert drops(name, chain()) is None
    assert drops(name, chain(think=ZH)) is None
    assert drops(name, chain("negative", score=-0.4), label=-0.6, facts=SIMS) is None


def test_format():
    assert drops("format", "Sure! " + chain()) == "not in the format"


def test_polarity_match():
    assert drops("polarity_match", chain("neutral")) == "says neutral, the label is positive"
    assert drops("polarity_match", chain("neutral", score=0), label=0.1, facts=SIMS) is None


def test_tag_score_sign():
    assert drops("tag_score_sign", chain(score=-0.2)) == "says positive, but its score is -0.2"
    assert drops("tag_score_sign", chain(score=0.1), facts=MOSI) is None
    assert drops("tag_score_sign", chain(score=0.1), facts=SIMS) == "says positive, but its score is 0.1"


@pytest.mark.parametrize(("score", "kept"), [(1.2, True), (1.3, False), (-1.2, True), (-1.3, False)])
def test_score_tolerance_is_a_fraction_of_the_range(score, kept):
    reason = drops("score_tolerance", chain(score=score), label=0.0)
    assert (reason is None) == kept
    assert kept or reason == "its score is 1.3 off, more than 1.2"


def test_score_tolerance_is_not_decided_by_binary_rounding():
    assert drops("score_tolerance", chain(score=0.2), label=-0.2, facts=SIMS) is None


@pytest.mark.parametrize(
    ("think", "reason"),
    [
        (EN.replace("\n2.", " "), "has 0 parts `2. Visual Clues Analysis`"),
        (EN + EN[EN.index("\n3.") :], "has 2 parts `3. Audio Clues Analysis`"),
        ("\n".join(EN.splitlines()[::-1]), "its parts are not in order"),
        (
            EN.replace("the voice is of middle pitch.", "it is high."),
            "its part 3 has 11 characters, fewer than 20",
        ),
        ("it is good", "has 0 parts `1. Dialogue Content Clues Analysis`"),
        (ZH.replace("视觉", "听觉"), "has 0 parts `2. 视觉线索分析`"),
    ],
)
def test_sections(think, reason):
    assert drops("sections", chain(think=think)) == reason


def test_sections_may_be_short_where_the_spec_allows_it():
    think = EN.replace("the voice is of middle pitch.", "it is high.")
    assert drops("sections", chain(think=think), min_chars=11) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("The Ground-truth says so", "speaks of `Ground-truth`"),
        ("it is labelled so", "speaks of `labelled`"),
        ("the annotation agrees", "speaks of `annotat`"),
        ("given polarity", "speaks of `given polarity`"),
        ("真实标签如此", "speaks of `真实标签`"),
        ("so the score is about 1.5", "quotes a score: `score` near `1.5`"),
        ("I give −2 as score", "quotes a score: `score` near `-2`"),
        ("评分：0.8", "quotes a score: `评分` near `0.8`"),
        ("it has a score of 30 points", None),
        ("at 2 minutes and some seconds there is a score by Morricone", None),
        ("unlabellable", None),
    ],
)
def test_no_label_leak(said, reason):
    assert drops("no_label_leak", chain(think=EN + " " + said)) == reason


def test_the_first_filter_that_fails_is_named():
    spec = specs.Filters.model_validate({"polarity_match": {}, "score_tolerance": {}})
    clip = Clip("c", "d", "train", "", 1.0, "positive", "", 1.0, "")
    failed = [
        first_failed(parse(C2f(), text), clip, MOSI, spec)
        for text in ("", chain("negative", score=-3), chain(score=3), chain(score=-0.1))
    ]
    assert [f and f[0] for f in failed] == ["format", "polarity_match", "score_tolerance", None]


@pytest.mark.parametrize("label", [0.96, 0.04, 3.0])
def test_the_label_replaces_the_score_and_nothing_else(label):
    clip = Clip("c", "d", "train", "", label, "positive", "", 1.0, "")
    text = with_label(C2f(), parse(C2f(), chain(score=2.0)), clip)
    assert text == chain(score=label)
