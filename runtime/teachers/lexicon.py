"""The teacher `lexicon` of the demo: words by a lexicon, voice and face by measuring, a chain of fixed phrases.

Words: VADER's compound (Hutto and Gilbert 2014, https://github.com/cjhutto/vaderSentiment, MIT) and the two words it
rates strongest. Voice and face: `runtime/media/measure.py` on the decoded media, turned into the leanings that
`runtime/media/speaker.py` drew with noise. The score is the sum of the five leanings with weights that follow from
that module's noise (1 / variance, shrunk to the spread of ratings), not from any label: 0.78 correlated
with the ratings of movie reviews and wrong in the sign for a sixth of them, so that the filters have work. An answer:

    <polarity>Positive</polarity>

    <think>
    1. Dialogue Content Clues Analysis: the words are clearly positive (wonderful, good).
    2. Visual Clues Analysis: the mouth curves up slightly and the brows are raised.
    3. Audio Clues Analysis: the voice is high and quiet.
    4. Mixed Clues Comprehensive Analysis: words and face are positive, the voice is mixed; overall clearly positive.
    </think>

    <score>1.4</score>
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2f_spec.errors import InvalidStageSpec
from runtime.endpoints.replies import Reply
from runtime.media.measure import measure
from runtime.teachers.questions import Teacher
from runtime.text.chains import canonical_answer, format_score
from runtime.text.clips import polarity_of
from runtime.text.prompts import HEADINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runtime.endpoints.replies import RequestFailed
    from runtime.media.measure import Measures
    from runtime.teachers.questions import Question, Task

WEIGHTS = {"words": 0.2, "pitch": 0.26, "energy": 0.05, "mouth": 0.26, "brows": 0.05}
"""Weights of the leanings (1 is the top of the range) in the overall leaning."""


@dataclass(frozen=True, slots=True)
class Leanings:
    """The leaning of each clue: -1 is the bottom of the range, 1 its top; noise may exceed both."""

    words: float
    pitch: float
    energy: float
    mouth: float
    brows: float

    @property
    def overall(self) -> float:
        total = sum(weight * float(getattr(self, name)) for name, weight in WEIGHTS.items())
        return max(-1.0, min(1.0, total))


@dataclass(frozen=True, slots=True)
class Lexicon(Teacher):
    """Rejects clips that are not English or not rendered, for which its lexicon and measures mean nothing."""

    spec: Any
    task: Task
    batch = 1
    concurrency = 0

    def __post_init__(self) -> None:
        if self.task.language != "en" or not self.task.rendered:
            raise InvalidStageSpec(
                "the teacher `lexicon` supports English and rendered speakers only",
                hint="use a teacher with weights, or train on a data set whose media are rendered (icwsm2014-movie)",
            )

    def write(self, questions: Sequence[Question]) -> list[Reply | RequestFailed]:
        return [self._reply(question) for question in questions]

    def _reply(self, question: Question) -> Reply:
        return Reply(self.answer(question.text, question.media), None, None, 0.0, "stop")

    def answer(self, text: str, media: Path) -> str:
        """Return the canonical answer to the clip with the words `text`."""
        clues = leanings(text, measure(media, self.task.media))
        middle, half = (self.task.low + self.task.high) / 2, (self.task.high - self.task.low) / 2
        score = float(format_score(middle + half * clues.overall, self.task.format.label_decimals))
        return canonical_answer(
            self.task.format, polarity_of(score, self.task.family, self.task.high), chain(text, clues), score
        )


def leanings(text: str, measures: Measures) -> Leanings:
    """Return the leanings, by the inverse of how `runtime/media/speaker.py` draws them."""
    return Leanings(
        words=_vader().polarity_scores(text)["compound"],
        pitch=math.log2(measures.pitch_hz / 300) / 0.65,
        energy=(measures.level_db + 24) / 4,
        mouth=measures.mouth_px / 3,
        brows=measures.brows_px / 1.2,
    )


def chain(text: str, clues: Leanings) -> str:
    """Return the four parts of the chain, one a line."""
    rated = ", ".join(strongest(text))
    parts = (
        f"the words are {_side(clues.words)}" + (f" ({rated})" if rated else ""),
        f"the mouth {_mouth(clues.mouth)} and the brows are {_three(clues.brows, 'lowered', 'level', 'raised')}",
        f"the voice is {_pitch(clues.pitch)} and {_three(clues.energy, 'quiet', 'even', 'loud')}",
        f"{_together(clues)}; overall {_side(2 * clues.overall)}",
    )
    return "\n".join(
        f"{n}. {heading}: {part}."
        for n, (heading, part) in enumerate(zip(HEADINGS["en"], parts, strict=True), start=1)
    )


def strongest(text: str, most: int = 2) -> list[str]:
    """Return the words of `text` that the lexicon rates strongest, in the order of the text."""
    lexicon: dict[str, float] = _vader().lexicon
    words = [
        w
        for w in (part.strip(".,;:!?()'\"-").lower() for part in text.split())
        if w.isalpha() and w in lexicon
    ]
    best = sorted(dict.fromkeys(words), key=lambda w: -abs(lexicon[w]))[:most]
    return sorted(best, key=words.index)


def _together(clues: Leanings) -> str:
    """Return which clues point which way, for example `words and face are positive, the voice is mixed`."""
    signs = {
        "the words": clues.words,
        "the face": 0.84 * clues.mouth + 0.16 * clues.brows,
        "the voice": 0.84 * clues.pitch + 0.16 * clues.energy,
    }
    phrases = []
    for name in ("positive", "mixed", "negative"):
        pointing = [
            clue
            for clue, leaning in signs.items()
            if _three(leaning, "negative", "mixed", "positive", 0.1) == name
        ]
        if pointing:
            phrases.append(
                f"{' and '.join(pointing)} {'is' if pointing in (['the face'], ['the voice']) else 'are'} {name}"
            )
    return ", ".join(phrases)


def _side(leaning: float) -> str:
    size = abs(leaning)
    if size < 0.05:
        return "neutral"
    strength = "slightly" if size < 0.35 else "clearly" if size < 0.75 else "strongly"
    return f"{strength} {'positive' if leaning > 0 else 'negative'}"


def _mouth(leaning: float) -> str:
    size = abs(leaning)
    if size < 0.1:
        return "is straight"
    strength = "slightly" if size < 0.4 else "clearly" if size < 0.9 else "strongly"
    return f"curves {'up' if leaning > 0 else 'down'} {strength}"


def _pitch(leaning: float) -> str:
    size = abs(leaning)
    if size < 0.1:
        return "of middle pitch"
    strength = "slightly" if size < 0.4 else "clearly" if size < 0.9 else "very"
    return f"{strength} {'high' if leaning > 0 else 'low'}"


def _three(leaning: float, low: str, middle: str, high: str, width: float = 0.5) -> str:
    return low if leaning < -width else high if leaning > width else middle


@functools.cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
