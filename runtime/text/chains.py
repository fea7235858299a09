"""Write and parse answers: the only serialiser and grammar (METHOD 1.3, 2).

SFT targets, hint prefixes and prompts are written here, and answers are parsed here, strictly for the format reward and
leniently for the rest. A canonical answer:

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
    from c2f_spec.spec.formats import Polarity

AnyFormat = C2f | Dc | Direct
F = TypeVar("F", bound=AnyFormat)

PARSED_POLARITIES: dict[str, Polarity] = {
    "negative": "negative", "neutral": "neutral", "positive": "positive",
    "消极": "negative", "负面": "negative", "中性": "neutral", "积极": "positive", "正面": "positive",
}  # fmt: skip
POLARITY_WORDS: dict[str, dict[str, str]] = {
    "en": {"negative": "Negative", "neutral": "Neutral", "positive": "Positive"},
    "zh": {"negative": "消极", "neutral": "中性", "positive": "积极"},
}
"""Written words of polarities, by `format.polarity_words`; `PARSED_POLARITIES` has all that are parsed."""
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
"""A number in ASCII digits. Any white space may surround it, also that of Chinese text."""
SIGNS = str.maketrans({"\u2212": "-", "\uff0d": "-", "\uff0b": "+"})
"""Minus and plus signs that models write instead of ASCII."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer. A direct answer has no polarity and no chain."""

    polarity: Polarity | None
    think: str | None
    score: float | None
    well_formed: bool
    """True if the whole text is exactly in the format, for the format reward."""


@dataclass(frozen=True, slots=True)
class Tags:
    polarity: str
    think: str
    score: str


def tag_names(fmt: C2f | Dc) -> Tags:
    if isinstance(fmt, Dc):
        return Tags(fmt.polarity_tag, fmt.think_tag, fmt.score_tag)
    return Tags("polarity", "think", "score")


def resolve_language(fmt: F, language: str) -> F:
    """Return `fmt` with the data set's `language` in place of `dataset`."""
    own = [name for name in ("language", "polarity_words") if getattr(fmt, name, None) == "dataset"]
    return cast("F", fmt.model_copy(update=dict.fromkeys(own, language)))


def build_prompt(fmt: AnyFormat, *, language: str, text: str, low: float, high: float) -> str:
    """Return the user's turn for a clip; `language` is the data set's, `low` and `high` the range in the prompt."""
    fmt = resolve_language(fmt, language)
    values = {"text": text, "low": f"{low:g}", "high": f"{high:g}"}
    if not isinstance(fmt, Direct):
        t = tag_names(fmt)
        values |= {"p": t.polarity, "t": t.think, "s": t.score, **POLARITY_WORDS[fmt.polarity_words]}
    template = PROMPTS[fmt.language, "direct" if isinstance(fmt, Direct) else "chain"]
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], template)


def format_score(score: float, decimals: int) -> str:
    """Return `score` with fixed decimals, never as a negative zero."""
    written = f"{score:.{decimals}f}"
    return written.lstrip("-") if float(written) == 0 else written


def canonical_answer(fmt: AnyFormat, polarity: Polarity, think: str, score: float) -> str:
    """Return the canonical answer, in a format with a resolved language."""
    written = format_score(score, fmt.label_decimals)
    if isinstance(fmt, Direct):
        return written
    t = tag_names(fmt)
    return f"{hint_prefix(fmt, polarity, 'after_think_open')}{think.strip()}\n</{t.think}>\n\n<{t.score}>{written}</{t.score}>"


def hint_prefix(fmt: C2f | Dc, polarity: Polarity, end: str) -> str:
    """Return the start of the canonical answer whose tokens do not depend on what follows (METHOD 1.8)."""
    t = tag_names(fmt)
    prefix = f"<{t.polarity}>{POLARITY_WORDS[fmt.polarity_words][polarity]}</{t.polarity}>\n\n"
    return prefix + f"<{t.think}>\n" if end == "after_think_open" else prefix


def parse_answer(fmt: AnyFormat, text: str) -> Answer:
    """Parse an answer. Never raises: a field that cannot be parsed is `None`."""
    return _parse_direct(text) if isinstance(fmt, Direct) else _parse_chain(tag_names(fmt), text)


def missing_score_reason(fmt: AnyFormat, text: str) -> str:
    """Return the reason why `parse_answer` finds no score in `text`."""
    if isinstance(fmt, Direct):
        found = {float(n) for n in re.findall(NUMBER, text.translate(SIGNS))}
        several = f"{len(found)} different numbers" if len(found) > 1 else "no finite number"
        return several if found else "no number"
    name = tag_names(fmt).score
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
    polarity = PARSED_POLARITIES.get(word.strip().lower()) if word is not None else None
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
    """Return the text inside the first pair of `tag`."""
    start = text.find(f"<{tag}>")
    end = text.find(f"</{tag}>", start) if start >= 0 else -1
    return text[start + len(f"<{tag}>") : end] if end >= 0 else None


def _finite(score: float) -> float | None:
    """Return `score`, or `None` for an infinite one, such as a number of 400 digits."""
    return score if math.isfinite(score) else None
