"""Write and parse answers: the only serialiser and grammar (METHOD 1.3, 2).

SFT targets, hint prefixes and prompts are written here, and answers are parsed here, strictly for the format reward and
leniently for the rest: polarity and score outside the chain, the score behind it. A canonical answer:

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
from runtime.text.score_text import NUMBER, SIGNS, numbers_in

if TYPE_CHECKING:
    from c2f_spec.spec.formats import Polarity

AnyFormat = C2f | Dc | Direct
F = TypeVar("F", bound=AnyFormat)

FORMAT_POLARITIES: dict[str, Polarity] = {
    "negative": "negative", "neutral": "neutral", "positive": "positive",
    "消极": "negative", "负面": "negative", "中性": "neutral", "积极": "positive", "正面": "positive",
}  # fmt: skip
"""Words that the format accepts (METHOD 1.3), in lower case."""
PARSED_POLARITIES: dict[str, Polarity] = FORMAT_POLARITIES | {
    "负向": "negative", "中立": "neutral", "正向": "positive",
}  # fmt: skip
"""Words that are read as a polarity (METHOD 1.4)."""
AROUND_WORDS = " \t\r\n\u3000\u00a0*_.。．"
"""White space, bold marks and full stops around a polarity, which are not part of it."""
POLARITY_WORDS: dict[str, dict[str, str]] = {
    "en": {"negative": "Negative", "neutral": "Neutral", "positive": "Positive"},
    "zh": {"negative": "消极", "neutral": "中性", "positive": "积极"},
}
"""Written words of polarities, by `format.polarity_words`."""


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
    """Return the reason why `parse_answer` finds no score in `text`; empty if it finds one."""
    if isinstance(fmt, Direct):
        return _read_number(text)[1]
    t = tag_names(fmt)
    before, _, behind = _split_think(t.think, text)
    return _read_score(t, text, before, behind)[1]


def _parse_direct(text: str) -> Answer:
    score, _ = _read_number(text)
    whole = re.fullmatch(NUMBER, text.translate(SIGNS).strip()) is not None
    return Answer(None, None, score, whole and score is not None)


def _parse_chain(t: Tags, text: str) -> Answer:
    before, think, behind = _split_think(t.think, text)
    words = _pairs(t.polarity, before) + _pairs(t.polarity, behind or "")
    polarity = PARSED_POLARITIES.get(words[0].strip(AROUND_WORDS).lower()) if words else None
    score, _ = _read_score(t, text, before, behind)
    return Answer(polarity, think.strip() if think else None, score, _is_well_formed(t, text))


def _read_score(t: Tags, text: str, before: str, behind: str | None) -> tuple[float | None, str]:
    """Return the score and "", or `None` and the reason; `before` and `behind` are the text around the chain."""
    early, late = _pairs(t.score, before), _pairs(t.score, behind or "")
    if len(early) + len(late) > 1:
        return None, f"{len(early) + len(late)} <{t.score}>"
    if early and behind is not None:
        return None, f"<{t.score}> before <{t.think}>"
    if early or late:
        score, reason = _read_number((early or late)[0])
        return score, reason and f"{reason} in <{t.score}>"
    return None, f"<{t.score}> only inside <{t.think}>" if _pairs(t.score, text) else f"no <{t.score}>"


def _read_number(text: str) -> tuple[float | None, str]:
    """Return the only number that `text` says and "", or `None` and the reason."""
    numbers = numbers_in(text)
    if len(numbers) == 1:
        return numbers.pop(), ""
    return None, f"{len(numbers)} different numbers" if numbers else "no number"


def _is_well_formed(t: Tags, text: str) -> bool:
    """Return whether the whole text is exactly in the format (METHOD 1.3)."""
    tags = [f"<{slash}{name}>" for name in (t.polarity, t.think, t.score) for slash in ("", "/")]
    layout = rf"\s*<{t.polarity}>([^<]*)</{t.polarity}>\s*<{t.think}>(.+)</{t.think}>\s*<{t.score}>([^<]*)</{t.score}>\s*"
    match = re.fullmatch(layout, text, re.DOTALL)
    if match is None or any(text.count(tag) != 1 for tag in tags):
        return False
    word, think, number = match.groups()
    written = re.fullmatch(rf"\s*({NUMBER})\s*", number.translate(SIGNS))
    return (
        word.strip().lower() in FORMAT_POLARITIES
        and bool(think.strip())
        and written is not None
        and math.isfinite(float(written.group(1)))
    )


def _split_think(tag: str, text: str) -> tuple[str, str | None, str | None]:
    """Return the text before the chain, the chain, and the text behind it without further chains.

    What follows a `<think>` that is not closed is chain. Without a chain all of the text is before, and `None` behind.
    """
    before, opened, rest = text.partition(f"<{tag}>")
    if not opened:
        return text, None, None
    think, closed, rest = rest.partition(f"</{tag}>")
    behind = re.sub(rf"<{tag}>.*?(?:</{tag}>|\Z)", "", rest, flags=re.DOTALL)
    return before, think if closed else None, behind


def _pairs(tag: str, text: str) -> list[str]:
    """Return the texts inside pairs of `tag`."""
    return [part.partition(f"</{tag}>")[0] for part in text.split(f"<{tag}>")[1:] if f"</{tag}>" in part]
