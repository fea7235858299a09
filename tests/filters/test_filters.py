"""Each filter on chains that it must keep and must drop, and the order of all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.spec import filters as specs
from c2f_spec.spec.filters import Most
from c2f_spec.spec.sections import C2f
from runtime import filters
from runtime.filters import FILTERS, SET_FILTERS
from runtime.filters.filter_chain import ChainResult, funnel, limit_per_polarity, rebalance
from runtime.filters.outcome import Chain, Failed
from runtime.stages.filter import with_label
from runtime.text.chains import canonical_answer, parse_answer
from runtime.text.clips import Clip, polarity_of
from tests.bench.filters import apply_filters
from tests.support.stage_runs import ALL_OFF

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
MOSI = {"low": -3.0, "high": 3.0, "family": "mosi", "language": "en"}
SIMS = {"low": -1.0, "high": 1.0, "family": "sims", "language": "zh"}


def drops(name, text, label=1.0, facts=MOSI, said="", **settings):
    """The reason of filter `name`, run alone, or `None`; a token is a word here."""
    spec = getattr(specs.Filters(**{name: settings}), name)
    clip = Clip("c", "d", "train", said, label, polarity_of(label, facts["family"]), "", 1.0, "")
    answer = parse_answer(C2f(), text)
    tokens = {answer.think: len((answer.think or "").split())}
    failed = FILTERS[name](Chain(answer, clip, {**facts, "tokens": tokens}), spec)
    return failed and failed.reason


def chain(polarity="positive", think=EN, score=1.0):
    return canonical_answer(C2f(), polarity, think, score)


def test_filters_run_in_the_order_of_the_spec_and_each_is_a_file():
    assert (*FILTERS, *SET_FILTERS) == ("format", *specs.NAMES)
    folder = Path(filters.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} - {"__init__", "outcome", "filter_chain"} == {
        *FILTERS,
        *SET_FILTERS,
    }
    for name, check in {**FILTERS, **SET_FILTERS}.items():
        assert check.__module__ == f"runtime.filters.{name}"


def test_the_registry_holds_imports_and_the_dict_only():
    """The digest of code leaves this file out, so a change in it must change no result."""
    body = ast.parse(Path(filters.__file__).read_text()).body[1:]
    assert isinstance(body.pop(), ast.AnnAssign)
    assert isinstance(body.pop(), ast.AnnAssign)
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.If) for node in body)


@pytest.mark.parametrize("name", FILTERS)
def test_a_good_chain_is_kept(name):
    settings = {"unit": "words", "min": 10} if name == "length" else {}
    assert drops(name, chain(), **settings) is None
    assert drops(name, chain(think=ZH), label=1.0, facts={**MOSI, "language": "zh"}, **settings) is None
    assert drops(name, chain("negative", ZH, -0.4), label=-0.6, facts=SIMS, **settings) is None


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


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"unit": "words", "min": 38, "max": 60}, "has 37 words, fewer than 38"),
        ({"unit": "words", "min": 37, "max": 37}, None),
        ({"unit": "words", "min": 1, "max": 36}, "has 37 words, more than 36"),
        ({"unit": "tokens", "min": 38}, "has 37 tokens, fewer than 38"),
        ({"unit": "chars", "min": 1, "max": 200}, f"has {len(EN)} chars, more than 200"),
    ],
)
def test_length(settings, reason):
    assert drops("length", chain(), **settings) == reason


def test_a_chinese_character_is_a_word():
    assert drops("length", chain(think="声音很 ok 的"), unit="words", min=6) == "has 5 words, fewer than 6"


@pytest.mark.parametrize(
    ("part", "said", "dropped"),
    [
        (2, "there is no video provided, so nothing can be seen", True),
        (3, "I CANNOT HEAR the audio that was given", True),
        (3, "he cannot hear his friend over the music", False),
        (1, "无法看到说话人", True),
        (3, "没有提供音频", True),
        (4, "no audio provided", False),
        (2, "not a sound is made, and a smile is given", True),
        (2, "not a sound is made. A smile is given", False),
    ],
)
def test_modality_mention(part, said, dropped):
    lines = EN.splitlines()
    lines[part - 1] += " " + said
    reason = drops("modality_mention", chain(think="\n".join(lines)))
    assert (reason is not None and reason.startswith("could not see or hear")) == dropped


@pytest.mark.parametrize(
    ("think", "language", "reason"),
    [
        (EN, "en", None),
        (ZH, "zh", None),
        (ZH, "en", "0% of its letters are ASCII, fewer than 70%"),
        (EN, "zh", "0% of its letters are Chinese, fewer than 70%"),
        ("积极积极积极积极 good", "en", "33% of its letters are ASCII, fewer than 70%"),
        ("积极的语气十分 abc", "zh", None),
        ("积极的语气十 abc", "zh", "67% of its letters are Chinese, fewer than 70%"),
        ("1, 2, 3", "en", "has no letters"),
    ],
)
def test_language(think, language, reason):
    assert drops("language", chain(think=think), facts={**MOSI, "language": language}) == reason


@pytest.mark.parametrize(
    ("think", "language", "settings", "reason"),
    [
        ("so very good " * 10, "en", {}, "89% of its 4-grams are repeated, more than 25%"),
        ("a b c d e f g", "en", {}, None),
        ("a b a b a b", "en", {"ngram": 2, "max_share": 0.6}, None),
        (
            "a b a b a b",
            "en",
            {"ngram": 2, "max_share": 0.59},
            "60% of its 2-grams are repeated, more than 59%",
        ),
        ("哈" * 12, "zh", {}, "89% of its 4-grams are repeated, more than 25%"),
        ("哈哈", "zh", {}, None),
    ],
)
def test_repetition(think, language, settings, reason):
    facts = {**MOSI, "language": language}
    assert drops("repetition", chain(think=think), facts=facts, **settings) == reason


@pytest.mark.parametrize(
    ("quoted", "said", "reason"),
    [
        ('"it\'s so good"', "Well, IT'S SO GOOD to see you", None),
        ("“truly awful”", "it was fine", "0% of the words that it quotes were said, fewer than 50%"),
        ("“good fun” and ‘never again’", "good fun", None),
        ("“good” and “never again”", "good fun", "33% of the words that it quotes were said, fewer than 50%"),
        ("「我很高兴」", "我今天很高兴", None),
        ("「我很生气」", "今天天气好", "25% of the words that it quotes were said, fewer than 50%"),
        ("no quotation", "nothing", None),
    ],
)
def test_dialogue_fidelity(quoted, said, reason):
    think = EN.replace("the words are clearly positive", quoted)
    assert drops("dialogue_fidelity", chain(think=think), said=said) == reason


def chain_result(number, text, label=1.0):
    clip = Clip(f"c{number}", "d", "train", "", label, polarity_of(label, "mosi"), "", 1.0, "")
    return ChainResult(clip, parse_answer(C2f(), text), text)


def filter_chains(texts, label=1.0, **filters):
    verdicts = [chain_result(n, text, label) for n, text in enumerate(texts)]
    apply_filters(verdicts, MOSI, specs.Filters.model_validate({**ALL_OFF, **filters}))
    return verdicts


def test_the_first_filter_that_fails_is_named():
    texts = ("", chain("negative", score=-3), chain(score=3), chain(score=-0.1))
    found = filter_chains(texts, polarity_match={}, score_tolerance={})
    assert [v.failed and v.failed[0] for v in found] == ["format", "polarity_match", "score_tolerance", None]


def test_a_flag_lets_the_chain_go_on():
    found = filter_chains(
        [chain("neutral", score=3), chain("neutral")], polarity_match={"on_fail": "flag"}, score_tolerance={}
    )
    assert [v.failed and v.failed[0] for v in found] == ["score_tolerance", None]
    assert found[1].flags == {"polarity_match": "says neutral, the label is positive"}
    assert funnel(found) == {
        "in": 2, "kept": 1, "dropped": {"score_tolerance": 1}, "flagged": {"polarity_match": 1}
    }  # fmt: skip


def test_rebalance_keeps_at_most_twice_the_rarest():
    verdicts = [chain_result(n, chain(), label) for n, label in enumerate([1, 1, 1, -1, 1, -1, 0])]
    rebalance(verdicts)
    assert [v.clip.id for v in verdicts if v.failed] == ["c2", "c4"]
    assert funnel(verdicts)["dropped"] == {"rebalance": 2}


def test_most_keeps_the_first_of_a_polarity():
    verdicts = [chain_result(n, chain(), label) for n, label in enumerate([-1, 1, -1, 1, -1, 0])]
    verdicts[0].failed = ("format", Failed("broken"))
    limit_per_polarity(verdicts, Most(negative=1))
    assert [v.clip.id for v in verdicts if v.failed] == ["c0", "c4"]
    assert funnel(verdicts)["dropped"] == {"format": 1, "most": 1}


def jaccard(a, b):
    sets = [{tuple(w[i : i + 3]) for i in range(max(1, len(w) - 2))} for w in (a.split(), b.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), max_size=12),
    st.sampled_from([0.3, 0.5, 0.9, 1]),
)
@settings(max_examples=200, deadline=None)
def test_dedup_finds_what_comparing_all_with_all_finds(chains, share):
    """The first of its like is kept; only kept chains are compared with."""
    texts = [" ".join(words) for words in chains]
    found = filter_chains([chain(think=text) for text in texts], dedup={"max_jaccard": share})
    kept = []
    for text, each in zip(texts, found, strict=True):
        near = any(jaccard(text, other) >= share for other in kept)
        assert (each.failed is not None) == near
        if not near:
            kept.append(text)


def test_dedup_names_the_other_clip():
    found = filter_chains([chain(), chain("neutral", EN), chain(think=ZH)], dedup={})
    assert [v.failed and v.failed[1].reason for v in found] == [None, "100% like the chain of `c0`", None]
    assert found[1].failed == ("dedup", ("100% like the chain of `c0`", 1.0))


@pytest.mark.parametrize("label", [0.96, 0.04, 3.0])
def test_the_label_replaces_the_score_and_nothing_else(label):
    clip = Clip("c", "d", "train", "", label, "positive", "", 1.0, "")
    text = with_label(C2f(), parse_answer(C2f(), chain(score=2.0)), clip)
    assert text == chain(score=label)
