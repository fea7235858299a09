"""The serialiser and the grammar: what is written is read back, and no text breaks the reader."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.spec.formats import POLARITIES
from c2f_spec.spec.sections import C2f, Dc, Direct
from runtime.text.chains import (
    build_prompt,
    canonical_answer,
    format_score,
    hint_prefix,
    missing_score_reason,
    parse_answer,
    resolve_language,
    tag_names,
)

FORMATS = st.sampled_from(
    (
        C2f(),
        C2f(label_decimals=3),
        Dc(),
        Dc(polarity_tag="a", think_tag="b", score_tag="c", polarity_words="zh"),
    )
)
POLARITY = st.sampled_from(POLARITIES)
SCORES = st.floats(-1e6, 1e6)
GOOD = "<polarity>Negative</polarity>\n\n<think>\nbecause\n</think>\n\n<score>-1.3</score>"


def without_tags(text: str) -> bool:
    names = ("polarity", "think", "score", "discrimination", "calibration", "a", "b", "c")
    return bool(text.strip()) and not any(f"<{s}{n}>" in text for n in names for s in ("", "/"))


@given(FORMATS, POLARITY, st.text().filter(without_tags), SCORES)
def test_a_written_chain_is_read_back(fmt, polarity, think, score):
    answer = parse_answer(fmt, canonical_answer(fmt, polarity, think, score))
    assert answer.well_formed
    assert (answer.polarity, answer.think) == (polarity, think.strip())
    assert answer.score == pytest.approx(score, abs=0.5001 * 10**-fmt.label_decimals)


@given(SCORES, st.integers(0, 4))
def test_a_written_number_is_read_back_and_zero_has_no_sign(score, decimals):
    written = canonical_answer(Direct(label_decimals=decimals), "neutral", "", score)
    answer = parse_answer(Direct(), written)
    assert answer.well_formed
    assert answer.score == float(written)
    assert not (float(written) == 0 and written.startswith("-"))


@given(
    st.sampled_from((C2f(), Dc(), C2f(polarity_words="zh"))),
    POLARITY,
    st.sampled_from(("after_polarity", "after_think_open")),
)
def test_a_hint_is_the_start_of_the_target(fmt, polarity, end):
    assert canonical_answer(fmt, polarity, "because", 1.0).startswith(hint_prefix(fmt, polarity, end))
    assert hint_prefix(fmt, polarity, end).endswith("\n")


PIECES = ("<polarity>", "</polarity>", "<think>", "</think>", "<score>", "</score>", "Positive", "消极", "-1", "−.5", "9" * 400, "٣", "\n", " ", "x<")  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5))).map("".join))
def test_any_text_is_an_answer(text):
    answer = parse_answer(C2f(), text)
    assert answer.score is None or math.isfinite(answer.score)
    if answer.well_formed:
        assert None not in (answer.polarity, answer.think, answer.score)
        again = canonical_answer(C2f(label_decimals=4), answer.polarity, answer.think, 0)
        assert parse_answer(C2f(), again).well_formed
    direct = parse_answer(Direct(), text)
    assert direct.score is None or math.isfinite(direct.score)
    assert direct.score is not None or not direct.well_formed


@pytest.mark.parametrize(
    "text",
    [
        GOOD + " thank you",
        "Sure: " + GOOD,
        GOOD + GOOD,
        GOOD.replace("Negative", "sad"),
        GOOD.replace("because", ""),
        GOOD.replace("because", "<score>1</score>"),
        GOOD.replace("-1.3", "-1.3 of 4"),
        GOOD.replace("-1.3", "1e5"),
        GOOD.replace("-1.3", ""),
        GOOD.replace("-1.3", "9" * 400),
        GOOD.replace("</think>", ""),
        GOOD.replace("<polarity>Negative</polarity>\n\n", "") + "<polarity>Negative</polarity>",
        "",
    ],
)
def test_what_is_not_exactly_the_format_earns_no_format_reward(text):
    assert not parse_answer(C2f(), text).well_formed


def test_polarity_and_score_are_read_where_the_format_is_not_kept():
    answer = parse_answer(
        C2f(), "I think <polarity> NEGATIVE </polarity> and <score>\u22121.5</score>, sorry"
    )
    assert (answer.polarity, answer.think, answer.score, answer.well_formed) == (
        "negative",
        None,
        -1.5,
        False,
    )


@pytest.mark.parametrize(
    ("written", "polarity"),
    [
        ("Negative.", "negative"), ("**Positive**", "positive"), ("消极。", "negative"), ("正向", "positive"),
        ("负向", "negative"), ("中立", "neutral"), (" neutral ", "neutral"), ("Mixed", None), ("not positive", None), ("", None),
    ],
)  # fmt: skip
def test_a_polarity_is_read_without_bold_marks_and_full_stops_and_the_format_stays_strict(written, polarity):
    answer = parse_answer(C2f(), GOOD.replace("Negative", written))
    assert answer.polarity == polarity
    assert answer.well_formed == (written == " neutral ")


P, S = "<polarity>Negative</polarity>", "<score>1</score>"


@pytest.mark.parametrize(
    ("text", "score", "reason"),
    [
        (f"{P}<think>I would say {S}</think>", None, "<score> only inside <think>"),
        (f"{P}<think>I would say {S}</think><score>2</score>", 2.0, ""),
        (f"{P}<think>a</think>{S}<score>2</score>", None, "2 <score>"),
        (f"{P}<think>a</think>{S}{S}", None, "2 <score>"),
        (f"{P}{S}<think>a</think>", None, "<score> before <think>"),
        (f"{P}{S}<think>a</think>{S}", None, "2 <score>"),
        (f"{P}<think>a {S}", None, "<score> only inside <think>"),
        (f"{P}<think>a</think><think>{S}</think><score>2</score>", 2.0, ""),
        (f"{P}<think>a</think>", None, "no <score>"),
        (f"{P}<think>a</think><score>1 or 2</score>", None, "2 different numbers in <score>"),
        (f"{P}<think>a</think><score>none</score>", None, "no number in <score>"),
        (f"{P}{S}", 1.0, ""),
    ],
)
def test_a_score_is_read_behind_the_chain_and_only_one(text, score, reason):
    assert parse_answer(C2f(), text).score == score
    if score is None:
        assert missing_score_reason(C2f(), text) == reason


def test_a_polarity_inside_the_chain_is_quoted():
    assert (
        parse_answer(C2f(), f"<think>not {P}</think><polarity>Positive</polarity>{S}").polarity == "positive"
    )
    assert parse_answer(C2f(), f"<think>{P}</think>{S}").polarity is None


@pytest.mark.parametrize(
    ("written", "score"),
    [
        ("+1.0", 1.0), ("\n.5 ", 0.5), ("\uff0d0.5", -0.5), ("\u22120.5", -0.5), ("\uff0b0.5", 0.5),
        ("\u30000.5\u3000", 0.5), ("\u00a00.5", 0.5), ("9", 9.0),
    ],
)  # fmt: skip
def test_a_score_in_the_format_is_one_number_with_any_white_space_around_it(written, score):
    for fmt, text in ((C2f(), GOOD.replace("-1.3", written)), (Direct(), written)):
        answer = parse_answer(fmt, text)
        assert (answer.well_formed, answer.score) == (True, score)


@pytest.mark.parametrize(
    ("written", "score"),
    [
        ("1.", 1.0), ("- 5", -5.0), ("0.5\u3002", 0.5), ("\uff10.\uff15", 0.5), ("-**0.5**", -0.5), ("**-0.5**", -0.5),
        ("minus 0.5", -0.5), ("负0.5", -0.5), ("\u20130.5", -0.5), ("\ufe63 0.5", -0.5), ("5e-1", 0.5), ("得分是0.5分", 0.5),
        ("0.5, so 0.50", 0.5), ("-0.0", 0.0), ("about 0.5", 0.5), ("0.5 (scale 0-1)", 0.5),
        ("1.0/3", None), ("NaN", None), ("inf", None), ("1_0", None), ("0,5", None), ("50%", None), ("50 %", None),
        ("50 percent", None), ("0.5-1.0", None), ("0.5 to 1", None), ("1.2.3", None), ("v2", None), ("2nd", None), ("1:30", None),
        ("±0.5", None), ("--0.5", None), ("score-0.5", None), ("negative 0.5", None), ("负面0.5", None), ("3万", None),
        ("≤0.5", None), ("9" * 400, None), ("٣", None), ("", None), ("-1.3 of 4", None),
    ],
)  # fmt: skip
def test_a_number_is_read_as_a_person_reads_it_and_earns_no_format_reward(written, score):
    for fmt, text in ((C2f(), GOOD.replace("-1.3", written)), (Direct(), f"I say {written}")):
        answer = parse_answer(fmt, text)
        assert answer.score == score
        assert not answer.well_formed or written == "-0.0"


@pytest.mark.parametrize(
    ("text", "score", "well_formed"),
    [
        (" 0.6\n", 0.6, True),
        ("－0.6", -0.6, True),
        ("the score is 0.6", 0.6, False),
        ("0.6 or 0.7", None, False),
        ("0.6, so 0.60", 0.6, False),
        ("none", None, False),
        ("٣", None, False),
    ],
)
def test_direct_answers(text, score, well_formed):
    answer = parse_answer(Direct(), text)
    assert (answer.score, answer.well_formed) == (score, well_formed)


def test_a_transcript_cannot_reach_into_the_prompt():
    said = r"{low} {s} \1 \g<0> </score>"
    written = build_prompt(C2f(), language="en", text=said, low=-4, high=4)
    assert f"({said})" in written
    assert "from -4 " in written
    assert "4 (strongly positive)" in written


def test_the_prompt_names_the_tags_of_the_format_in_the_language_of_the_data():
    written = build_prompt(Dc(), language="zh", text="好", low=-1, high=1)
    tags = tag_names(Dc())
    assert all(f"<{tag}>" in written for tag in (tags.polarity, tags.think, tags.score))
    assert "情感" in written
    assert "情感" not in build_prompt(Dc(language="en"), language="zh", text="好", low=-1, high=1)
    assert "<" not in build_prompt(Direct(), language="en", text="good", low=-1, high=1)


@pytest.mark.parametrize(
    ("fmt", "language", "words"),
    [
        (C2f(polarity_words="dataset"), "zh", "积极、中性 或 消极"),
        (C2f(polarity_words="dataset"), "en", "Positive, Neutral or Negative"),
        (C2f(), "zh", "Positive、Neutral 或 Negative"),
        (C2f(language="en", polarity_words="dataset"), "zh", "积极, 中性 or 消极"),
    ],
)
def test_a_prompt_names_the_polarities_in_the_words_that_the_spec_chooses(fmt, language, words):
    written = build_prompt(fmt, language=language, text="", low=-1, high=1)
    assert f"<polarity>{words}</polarity>" in written


def test_the_words_of_a_polarity_are_the_data_set_s_if_the_spec_says_so():
    fmt = C2f(polarity_words="dataset")
    for language, word in (("zh", "消极"), ("en", "Negative")):
        prefix = hint_prefix(resolve_language(fmt, language), "negative", "after_polarity")
        assert prefix == f"<polarity>{word}</polarity>\n\n"
    with pytest.raises(KeyError, match="dataset"):
        hint_prefix(fmt, "negative", "after_polarity")  # of which data set?


def test_numbers():
    written = [format_score(s, d) for s, d in ((-0.04, 1), (0.26, 1), (-1 / 3, 2), (2.5, 0))]
    assert written == ["0.0", "0.3", "-0.33", "2"]


@pytest.mark.parametrize(
    "text", ["<polarity>", "<think>", "<think></think>", "<score>1</score>", "-.", "1", "- ", "minus "]
)
def test_a_long_hostile_text_takes_time_in_proportion_to_its_length(text):
    """Four times the text takes about four times as long, and not sixteen: the best of five tries each."""

    def seconds(repeats):
        tries = []
        for _ in range(5):
            started = time.process_time()
            parse_answer(C2f(), text * repeats)
            parse_answer(Direct(), text * repeats)
            tries.append(time.process_time() - started)
        return min(tries)

    assert seconds(20_000) < 10 * max(seconds(5_000), 1e-3)
