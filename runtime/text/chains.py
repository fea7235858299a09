"""The one serialiser and the one grammar of answers (METHOD 1.3, 2).

SFT targets, hint prefixes, prompts and test fixtures are all written here, and answers are read here, strictly for
the format reward and leniently for the rest. A canonical answer:

    <polarity>Negative</polarity>

    <think>
    1. Dialogue Content Clues Analysis: ...
    2. Visual Clues Analysis: ...
    3. Audio Clues Analysis: ...
    4. Mixed Clues Comprehensive Analysis: ...
    </think>

    <score>-1.3</score>
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from c2f_spec.spec.sections import C2f, Dc, Direct
from runtime.text.prompts import PROMPTS

if TYPE_CHECKING:
    from runtime.text.clips import Polarity

AnyFormat = C2f | Dc | Direct
F = TypeVar("F", bound=AnyFormat)

WORDS: dict[str, Polarity] = {
    "negative": "negative", "neutral": "neutral", "positive": "positive",
    "消极": "negative", "负面": "negative", "中性": "neutral", "积极": "positive", "正面": "positive",
}  # fmt: skip
SPOKEN: dict[str, dict[str, str]] = {
    "en": {"negative": "Negative", "neutral": "Neutral", "positive": "Positive"},
    "zh": {"negative": "消极", "neutral": "中性", "positive": "积极"},
}
"""The words that are written, by `format.polarity_words`; `WORDS` has all that are read."""
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
"""In ASCII digits. White space around it may be any, as Chinese text has one of its own."""
SIGNS = str.maketrans({"\u2212": "-", "\uff0d": "-", "\uff0b": "+"})
"""Minus and plus signs that models write instead of ASCII."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read from an answer. A direct answer has no polarity and no chain."""

    polarity: Polarity | None
    think: str | None
    score: float | None
    well_formed: bool
    """The whole text is exactly the format: the format reward."""


@dataclass(frozen=True, slots=True)
class Tags:
    polarity: str
    think: str
    score: str


def tags(fmt: C2f | Dc) -> Tags:
    if isinstance(fmt, Dc):
        return Tags(fmt.polarity_tag, fmt.think_tag, fmt.score_tag)
    return Tags("polarity", "think", "score")


def spoken(fmt: F, language: str) -> F:
    """`fmt` for the clips of a data set in `language`: it says `dataset` nowhere any more."""
    own = [name for name in ("language", "polarity_words") if getattr(fmt, name, None) == "dataset"]
    return cast("F", fmt.model_copy(update=dict.fromkeys(own, language)))


def prompt(fmt: AnyFormat, *, language: str, text: str, low: float, high: float) -> str:
    """The user's turn for a clip: `language` is the data set's, `low` and `high` the range that the prompt names."""
    fmt = spoken(fmt, language)
    values = {"text": text, "low": f"{low:g}", "high": f"{high:g}"}
    if not isinstance(fmt, Direct):
        t = tags(fmt)
        values |= {"p": t.polarity, "t": t.think, "s": t.score, **SPOKEN[fmt.polarity_words]}
    template = PROMPTS[fmt.language, "direct" if isinstance(fmt, Direct) else "chain"]
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], template)


def number(score: float, decimals: int) -> str:
    """Fixed decimals, and never a negative zero."""
    written = f"{score:.{decimals}f}"
    return written.lstrip("-") if float(written) == 0 else written


def target(fmt: AnyFormat, polarity: Polarity, think: str, score: float) -> str:
    """The canonical answer, in a format that is `spoken`."""
    written = number(score, fmt.label_decimals)
    if isinstance(fmt, Direct):
        return written
    t = tags(fmt)
    return f"{hint(fmt, polarity, 'after_think_open')}{think.strip()}\n</{t.think}>\n\n<{t.score}>{written}</{t.score}>"


def hint(fmt: C2f | Dc, polarity: Polarity, end: str) -> str:
    """The start of the canonical answer, up to where its tokens do not depend on what follows (METHOD 1.8)."""
    t = tags(fmt)
    prefix = f"<{t.polarity}>{SPOKEN[fmt.polarity_words][polarity]}</{t.polarity}>\n\n"
    return prefix + f"<{t.think}>\n" if end == "after_think_open" else prefix


def parse(fmt: AnyFormat, text: str) -> Answer:
    """Read an answer. Never raises: what cannot be read is `None`."""
    return _parse_direct(text) if isinstance(fmt, Direct) else _parse_chain(tags(fmt), text)


def without_score(fmt: AnyFormat, text: str) -> str:
    """Why `parse` finds no score in `text`."""
    if isinstance(fmt, Direct):
        found = {float(n) for n in re.findall(NUMBER, text.translate(SIGNS))}
        several = f"{len(found)} different numbers" if len(found) > 1 else "no finite number"
        return several if found else "no number"
    name = tags(fmt).score
    return f"no <{name}>" if _between(name, text) is None else f"no number in <{name}>"


def _parse_direct(text: str) -> Answer:
    text = text.translate(SIGNS)
    found = {float(n) for n in re.findall(NUMBER, text)}
    score = _finite(found.pop()) if len(found) == 1 else None
    whole = re.fullmatch(NUMBER, text.strip()) is not None
    return Answer(None, None, score, whole and score is not None)


def _parse_chain(t: Tags, text: str) -> Answer:
    word = _between(t.polarity, text)
    body = _between(t.think, text)
    written = re.fullmatch(rf"\s*({NUMBER})\s*", (_between(t.score, text) or "").translate(SIGNS))
    score = _finite(float(written.group(1))) if written else None
    polarity = WORDS.get(word.strip().lower()) if word is not None else None
    once = all(
        text.count(f"<{slash}{name}>") == 1 for name in (t.polarity, t.think, t.score) for slash in ("", "/")
    )
    layout = rf"\s*<{t.polarity}>[^<]*</{t.polarity}>\s*<{t.think}>.+</{t.think}>\s*<{t.score}>[^<]*</{t.score}>\s*"
    well_formed = (
        once
        and polarity is not None
        and score is not None
        and bool(body and body.strip())
        and re.fullmatch(layout, text, re.DOTALL) is not None
    )
    return Answer(polarity, body.strip() if body else None, score, well_formed)


def _between(tag: str, text: str) -> str | None:
    """The text inside the first pair of `tag`."""
    start = text.find(f"<{tag}>")
    end = text.find(f"</{tag}>", start) if start >= 0 else -1
    return text[start + len(f"<{tag}>") : end] if end >= 0 else None


def _finite(score: float) -> float | None:
    """A number of 400 digits reads as infinite, which no reward or metric could use."""
    return score if math.isfinite(score) else None
