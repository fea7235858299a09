"""Hand-written chains, good and bad, in both languages: each filter says of each what was expected, and why."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import C2f
from runtime.filters import FILTERS
from runtime.filters.dedup import check_all
from runtime.filters.filter_chain import ChainResult
from runtime.text.chains import parse_answer
from runtime.text.clips import Clip, polarity_of
from tests.bench.filters import DEFAULT, apply_filters
from tests.support.hand_written import FACTS, GOOD, entries, pairs
from tests.support.plain_filters import Case, failing

PHRASES = (
    "1. Dialogue Content Clues Analysis: ", "\n2. Visual Clues Analysis:", "\n3. Audio Clues Analysis", "\n4. ",
    "Mixed Clues Comprehensive Analysis: ", "\n1. 对话内容线索分析：", "\n 2、视觉线索分析", "\n3．音频线索分析:", "\n4.混合线索综合分析：",
    "she smiles and nods at length", "他面带微笑，语气轻快，没有任何抱怨的意思在里面", " the score is 1.5", "得分", "0.4", "−2", "label", "Annotat",
    "no video was provided", "无法听到", "标签为", "ſcore 1", "vıdeo", "\n", "\r\n", " ", "é", "你好", "１", "score.\n2. Visual Clues Analysis",
    "**2.** Visual Clues Analysis**: ", " 3. **Audio Clues Analysis:** ", "12. Visual Clues Analysis", "1.2. Visual Clues Analysis", "**", "#",
)  # fmt: skip


def test_they_are_many_and_each_filter_has_some_of_each_language():
    found = entries()
    assert len(found) >= 200
    assert len({entry.name for entry in found}) == len(found)
    for language in ("en", "zh"):
        mine = [entry for entry in found if entry.language == language]
        assert sum(not entry.fails for entry in mine) >= 30
        failed = Counter(name for entry in mine for name in entry.fails)
        assert all(failed[name] >= 2 for name in FILTERS), failed


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_filter_fails_the_chains_that_it_should_with_the_expected_reason(entry):
    found = entry.verdicts()
    assert found.keys() == entry.fails.keys()
    for name, reason in found.items():
        assert entry.fails[name] in reason


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair["id"])
def test_chains_of_two_clips_are_alike_or_not(pair):
    spec = Filters(dedup={}).dedup
    clips = [Clip(name, "d", "train", "", 1.0, "positive", "", 1.0, "") for name in ("a", "b")]
    answers = [
        parse_answer(C2f(), f"<polarity>Positive</polarity><think>{pair[name]}</think><score>1</score>")
        for name in ("first", "second")
    ]
    found = check_all(list(zip(clips, answers, strict=True)), {"language": pair["language"]}, spec)
    assert set(found) == ({"b"} if pair["alike"] else set())


def agree(text, label, language, tokens):
    """Ours and the plain reading of METHOD 3 drop the chain by the same filter, or both keep it."""
    facts = FACTS[language]
    answer = parse_answer(C2f(), text)
    clip = Clip("c", "d", "train", "", label, polarity_of(label, facts["family"]), "", 1.0, "")
    verdict = ChainResult(clip, answer, text)
    spec = Filters.model_validate({name: {} for name in DEFAULT})
    apply_filters([verdict], {**facts, "tokens": {answer.think: tokens}}, spec)
    case = Case(text, label, language, facts["low"], facts["high"], facts["family"])
    assert (verdict.failed and verdict.failed[0]) == failing(case, tokens)


def test_the_plain_reading_agrees_on_hand_written_chains():
    for entry in entries():
        agree(entry.text, entry.label, entry.language, 60)


@given(
    st.lists(st.one_of(st.sampled_from(PHRASES), st.text(max_size=4)), max_size=25).map("".join),
    st.sampled_from(("positive", "Negative", "中性")),
    st.sampled_from(("1.0", "-0.4", "0", "−2")),
    st.sampled_from((1.0, -0.4, 0.0)),
    st.sampled_from(("en", "zh")),
    st.integers(59, 513),
)
@settings(max_examples=150, deadline=None)
def test_the_plain_reading_agrees_on_chains_of_pieces(think, word, score, label, language, tokens):
    text = f"<polarity>{word}</polarity>\n<think>{think}</think>\n<score>{score}</score>"
    agree(text, label, language, tokens)


@given(
    st.sampled_from(("en", "zh")),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(PHRASES[9:]), st.booleans()), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_the_plain_reading_agrees_on_good_chains_with_something_put_in(language, changes):
    entry = next(e for e in entries() if e.language == language and e.said == GOOD[language]["said"])
    lines = entry.text.split("\n")
    for part, phrase, front in changes:
        at = 3 + part
        lines[at] = phrase + lines[at] if front else lines[at] + phrase
    agree("\n".join(lines), GOOD[language]["label"], language, 60)
