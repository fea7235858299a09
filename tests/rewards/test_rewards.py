"""The rewards against their definitions, in double precision, and against the worked values of the method's notes."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2f_spec.spec.grpo import FormatReward, PolarityReward, Rewards, ScoreReward
from c2f_spec.spec.sections import C2f, Dc
from runtime.rewards import REWARDS
from runtime.rewards.truth import Truth
from runtime.text.chains import canonical_answer, parse_answer
from runtime.text.prompts import HEADINGS

FMT = C2f()
SIMS = Truth("positive", 0.2, -1.0, 1.0, "sims")
MOSI = Truth("negative", -1.4, -3.0, 3.0, "mosi")
THINK = "1. the words\n2. the face"

GRAMMAR = re.compile(
    r"\A\s*<polarity>\s*(positive|neutral|negative|积极|正面|中性|消极|负面)\s*</polarity>\s*"
    r"<think>(?P<body>.+?)</think>\s*<score>\s*[+-]?(\d+(\.\d+)?|\.\d+)\s*</score>\s*\Z",
    re.DOTALL | re.IGNORECASE | re.ASCII,
)


def total(text, truth, *, score=None, fmt=FMT):
    answer = parse_answer(fmt, text)
    sections = {"format": FormatReward(), "polarity": PolarityReward(), "score": score or ScoreReward()}
    return sum(REWARDS[name](answer, truth, section) for name, section in sections.items())


def score_of(text, truth, **fields):
    return REWARDS["score"](parse_answer(FMT, text), truth, ScoreReward(**fields))


def test_every_reward_of_a_spec_has_a_function():
    assert set(REWARDS) == set(Rewards.model_fields)


def test_worked_values():
    """METHOD 1.5: what wrong and right polarities can earn."""
    assert total(canonical_answer(FMT, "positive", THINK, -1.4), MOSI) == 1.0  # well formed, wrong polarity
    assert total(canonical_answer(FMT, "negative", THINK, -1.4), MOSI) == 3.0
    assert total(canonical_answer(FMT, "negative", THINK, 0.0), MOSI) == pytest.approx(2 + 1 - 1.4 / 6)
    contradiction = canonical_answer(FMT, "positive", THINK, -0.2)
    assert score_of(contradiction, SIMS) == pytest.approx(0.8)
    assert score_of(contradiction, SIMS, gate="tag_and_sign") == 0.0
    assert total("", MOSI) == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (canonical_answer(FMT, "negative", THINK, -1.4), 1.0),
        ("  " + canonical_answer(FMT, "negative", THINK, -1.4) + "\n", 1.0),
        ("<polarity>积极</polarity><think>x</think><score>.5</score>", 1.0),
        ("<polarity>NEUTRAL</polarity><think>x</think><score>\u22120.5</score>", 1.0),  # a typographic minus
        ("so: " + canonical_answer(FMT, "negative", THINK, -1.4), 0.0),
        (canonical_answer(FMT, "negative", THINK, -1.4) + " indeed", 0.0),
        (canonical_answer(FMT, "negative", THINK, -1.4).replace("<think>", "<think><think>"), 0.0),
        ("<think>x</think><polarity>Negative</polarity><score>1</score>", 0.0),
        ("<polarity>Bad</polarity><think>x</think><score>1</score>", 0.0),
        ("<polarity>Negative</polarity><think> </think><score>1</score>", 0.0),
        ("<polarity>Negative</polarity><think>x</think><score>1.</score>", 0.0),
        ("<polarity>Negative</polarity><think>x</think><score>one</score>", 0.0),
        ("<polarity>Negative</polarity><think>x</think><score>1</score><score>2</score>", 0.0),
    ],
)
def test_format(text, expected):
    assert REWARDS["format"](parse_answer(FMT, text), MOSI, FormatReward()) == expected


@pytest.mark.parametrize("language", sorted(HEADINGS))
def test_sections_may_be_required(language):
    def earned(lines):
        answer = parse_answer(FMT, canonical_answer(FMT, "negative", "\n".join(lines), -1.4))
        assert REWARDS["format"](answer, MOSI, FormatReward()) == 1.0
        return REWARDS["format"](answer, MOSI, FormatReward(require_sections=True))

    lines = [f"{n}. {heading}: some words" for n, heading in enumerate(HEADINGS[language], 1)]
    assert earned(lines) == 1.0
    assert earned(lines[:3]) == 0.0
    assert earned([lines[1], lines[0], *lines[2:]]) == 0.0
    assert earned([*lines, lines[3]]) == 0.0
    assert earned([*lines[:3], lines[3].removesuffix("some words")]) == 0.0
    broken = parse_answer(FMT, "so: " + canonical_answer(FMT, "negative", "\n".join(lines), -1.4))
    assert REWARDS["format"](broken, MOSI, FormatReward(require_sections=True)) == 0.0


TAGS = ["<polarity>", "</polarity>", "<think>", "</think>", "<score>", "</score>"]
pieces = st.sampled_from([*TAGS, "Negative", "positive", "x", " ", "\n", "-1.5", "2", "."])


@given(st.one_of(st.lists(pieces, max_size=14).map("".join), st.text(max_size=30)))
def test_format_is_the_grammar(text):
    found = GRAMMAR.match(text.translate(str.maketrans({"\u2212": "-", "\uff0d": "-", "\uff0b": "+"})))
    once = all(
        text.count(f"<{slash}{tag}>") == 1 for tag in ("polarity", "think", "score") for slash in ("", "/")
    )
    expected = bool(found and found["body"].strip()) and once
    assert REWARDS["format"](parse_answer(FMT, text), MOSI, FormatReward()) == float(expected)


def test_polarity_is_read_leniently():
    broken = "<polarity>Negative</polarity> and then nothing"
    assert REWARDS["polarity"](parse_answer(FMT, broken), MOSI, PolarityReward()) == 1.0
    assert REWARDS["polarity"](parse_answer(FMT, broken), SIMS, PolarityReward()) == 0.0
    assert REWARDS["polarity"](parse_answer(FMT, "Negative"), MOSI, PolarityReward()) == 0.0


def test_tags_of_the_first_version():
    fmt = Dc()
    assert total(canonical_answer(fmt, "negative", THINK, -1.4), MOSI, fmt=fmt) == 3.0
    assert total(canonical_answer(fmt, "negative", THINK, -1.4), MOSI) == 0.0


SHAPES = {
    "linear_range": lambda e, w, r: 1 - e / r,
    "linear_width": lambda e, w, r: max(0.0, 1 - e / w),
    "gaussian": lambda e, w, r: math.exp(-(e**2) / (2 * w**2)),
    "binary_tol": lambda e, w, r: float(e <= w * (1 + 1e-9)),
}


@given(
    st.integers(-30, 30).map(lambda n: n / 10),
    st.integers(-60, 60).map(lambda n: n / 10),
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from([0.2, 1.0, 2.5]),
    st.sampled_from(["tag", "tag_and_sign", "sign", "none"]),
    st.sampled_from(["zero", "clip", "as_is"]),
    st.sampled_from(["negative", "neutral", "positive"]),
)
def test_score_is_its_definition(label, score, shape, width, gate, out_of_range, tag):
    def sign(x):
        return "negative" if x < 0 else "positive" if x > 0 else "neutral"

    truth = Truth(sign(label), label, -3.0, 3.0, "mosi")
    spec = {"shape": shape, "gate": gate, "out_of_range": out_of_range}
    if shape != "linear_range":
        spec["width"] = width
    right_tag, right_sign = tag == sign(label), sign(score) == sign(label)
    opened = {"tag": right_tag, "tag_and_sign": right_tag and right_sign, "sign": right_sign, "none": True}[
        gate
    ]
    used = min(max(score, -3.0), 3.0) if out_of_range == "clip" else score
    expected = max(0.0, SHAPES[shape](abs(used - label), width, 6.0)) if opened else 0.0
    if abs(score) > 3 and out_of_range == "zero":
        expected = 0.0
    assert score_of(canonical_answer(FMT, tag, THINK, score), truth, **spec) == pytest.approx(
        expected, abs=1e-12
    )


def test_sims_neutral_band_opens_the_gate():
    neutral = Truth("neutral", 0.0, -1.0, 1.0, "sims")
    assert score_of(canonical_answer(FMT, "neutral", THINK, 0.1), neutral, gate="sign") == pytest.approx(0.95)
    assert score_of(canonical_answer(FMT, "neutral", THINK, -0.1), neutral, gate="sign") == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "<polarity>Negative</polarity><score>much</score>",
        "<polarity>Negative</polarity>",
        "<score>-1.4</score>",
    ],
)
def test_score_needs_a_number_and_an_open_gate(text):
    assert score_of(text, MOSI) == 0.0
