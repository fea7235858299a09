"""The lexicon teacher: it cannot see labels, reads words and media, and is right often but not always."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import product

import pytest

from c2f_spec.errors import InvalidData, InvalidStageSpec
from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import C2f, Direct, LexiconTeacher, Media
from runtime.endpoints.chat_client import text_part
from runtime.filters import FILTERS
from runtime.filters.outcome import Chain
from runtime.media.measure import Measures
from runtime.media.speaker import render
from runtime.teachers import TEACHERS
from runtime.teachers.lexicon import Leanings, chain, leanings, strongest
from runtime.teachers.openai import MessageParts
from runtime.teachers.questions import Question, Task, strip_thinking
from runtime.text.chains import parse_answer
from runtime.text.clips import Clip

TASK = Task(C2f(), Media(fps=2, max_frames=4, max_pixels=3136), "en", -4.0, 4.0, "mosi", rendered=True)
NEUTRAL = Leanings(0, 0, 0, 0, 0)


def test_a_question_to_a_teacher_has_words_and_media_and_nothing_of_the_label():
    """What it hears of the label, if the spec says so, is words of the prompt."""
    assert {f.name for f in fields(Question)} == {
        "id", "sample", "text", "prompt", "media", "duration_s", "lacks", "seed",
    }  # fmt: skip


def test_a_teacher_that_computes_travels_to_other_processes():
    teacher = TEACHERS["lexicon"](LexiconTeacher(), TASK)
    assert teacher.concurrency == 0
    assert pickle.loads(pickle.dumps(teacher)) == teacher


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<polarity>Negative</polarity>\n\n<think>\n1. x\n</think>", "<polarity>Negative</polarity>\n\n<think>\n1. x\n</think>"),
        ("<think>\nhm\n</think>\n\n<polarity>Negative</polarity><think>1.</think>", "<polarity>Negative</polarity><think>1.</think>"),
        ("hm, a <polarity> tag\n</think>\n<polarity>x</polarity>", "<polarity>x</polarity>"),
        ("it wants <think> and </think>, so\n</think>\n\n<polarity>x</polarity><think>1</think>", "<polarity>x</polarity><think>1</think>"),
        ("<think>a draft: <polarity>y</polarity><think>0</think><score>1</score>\n</think><polarity>x</polarity>", "<polarity>x</polarity>"),
        ("<think>never ends", ""),
        ("<think>never ends, and <polarity>x</polarity> is not said", ""),
        ("no block at all", "no block at all"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_block_that_a_model_opens_by_itself_is_parted_from_its_answer(text, left):
    assert strip_thinking(text, C2f()) == left


@pytest.mark.parametrize(
    ("text", "left"), [("hm </think> is a tag\n</think>0.6", "0.6"), ("<think>0.6", ""), ("0.6", "0.6")]
)
def test_a_number_stands_behind_the_last_block(text, left):
    assert strip_thinking(text, Direct()) == left


def test_media_of_a_clip_are_encoded_a_single_time_for_all_its_questions(tmp_path):
    """Samples are asked for side by side, and failed tries again: each is sent the very bytes of the first."""
    render(tmp_path / "c.mp4", 1.0, seed=1, clip="c")
    questions = [Question("c", n, "w", f"Say {n}", tmp_path / "c.mp4", 2.0) for n in range(4)]
    parts = MessageParts(TASK.media, "mp4", "en")
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(parts.build, questions), parts.build(questions[0])]
    assert [made[2] for made in found] == [text_part(q.prompt) for q in (*questions, questions[0])]
    assert all(made[kind] is found[0][kind] for made in found for kind in (0, 1))
    gone = Question("d", 0, "w", "Say", tmp_path / "d.mp4", 2.0)
    for _ in range(2):
        with pytest.raises(InvalidData, match="file not found"):
            parts.build(gone)


@pytest.mark.parametrize("change", [{"language": "zh"}, {"rendered": False}])
def test_what_it_cannot_judge_is_refused(change):
    task = Task(**{f.name: getattr(TASK, f.name) for f in fields(Task)} | change)
    with pytest.raises(InvalidStageSpec, match="English and rendered speakers"):
        TEACHERS["lexicon"](LexiconTeacher(), task)


def test_an_answer_is_canonical_and_of_one_mind(tmp_path):
    teacher = TEACHERS["lexicon"](LexiconTeacher(), TASK)
    for n, rating in enumerate((-4.0, -1.0, 0.0, 2.0, 4.0)):
        render(tmp_path / "c.mp4", rating, seed=n, clip="c")
        text = teacher.answer("A wonderful, funny failure", tmp_path / "c.mp4")
        answer = parse_answer(C2f(), text)
        assert answer.well_formed
        assert answer.score is not None
        assert text == teacher.answer("A wonderful, funny failure", tmp_path / "c.mp4")
        clip = Clip("c", "d", "train", "", answer.score, answer.polarity, "", 2.0, "")
        spec = Filters.model_validate({name: {} for name in FILTERS if name != "format"})
        facts = {"low": -4.0, "high": 4.0, "family": "mosi", "language": "en", "tokens": {answer.think: 100}}
        reasons = {
            name: check(Chain(answer, clip, facts), getattr(spec, name, None))
            for name, check in FILTERS.items()
        }
        assert not any(reasons.values()), reasons


def test_a_direct_answer_is_a_number(tmp_path):
    render(tmp_path / "c.mp4", 4.0, seed=1, clip="c")
    task = Task(**{f.name: getattr(TASK, f.name) for f in fields(Task)} | {"format": Direct()})
    assert parse_answer(
        Direct(), TEACHERS["lexicon"](LexiconTeacher(), task).answer("fine", tmp_path / "c.mp4")
    ).well_formed


def test_each_clue_moves_the_score():
    quiet = Measures(pitch_hz=300.0, level_db=-24.0, mouth_px=0.0, brows_px=0.0)
    base = leanings("the table", quiet)
    assert base == NEUTRAL
    assert leanings("the wonderful table", quiet).overall > 0
    assert leanings("the awful table", quiet).overall < 0
    for change in ({"pitch_hz": 500.0}, {"level_db": -20.0}, {"mouth_px": 2.0}, {"brows_px": 2.0}):
        shown = {name: getattr(quiet, name) for name in Measures.__slots__} | change
        assert leanings("the table", Measures(**shown)).overall > 0


def test_the_chain_describes_the_cues_of_the_clip():
    seen = Leanings(words=0.6, pitch=1.2, energy=-0.8, mouth=-0.2, brows=0.9)
    written = chain("A wonderful film, good but awful", seen)
    assert written.splitlines() == [
        "1. Dialogue Content Clues Analysis: the words are clearly positive (wonderful, awful).",
        "2. Visual Clues Analysis: the mouth curves down slightly and the brows are raised.",
        "3. Audio Clues Analysis: the voice is very high and quiet.",
        (
            "4. Mixed Clues Comprehensive Analysis: the words and the voice are positive, the face is mixed; "
            "overall strongly positive."
        ),
    ]


def test_chains_are_short_and_of_few_words():
    grid = (-1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0)
    chains = [chain("", Leanings(w, p, e, m, 0)) for w, p, e, m in product(grid, grid, (-1, 1), grid)]
    assert max(len(text.split()) for text in chains) < 80
    assert len({word for text in chains for word in text.split()}) < 70


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("Great, GREAT fun!", ["great", "fun"]),
        ("</think> $:) 4.0 <score>", []),
        ("bad good worst", ["bad", "worst"]),
    ],
)
def test_only_plain_words_are_quoted(text, words):
    assert strongest(text) == words
