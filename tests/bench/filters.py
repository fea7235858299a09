"""Chains a second through the default filters on one core, beside the plain reading of METHOD 3; and counting tokens."""

from __future__ import annotations

import random
import time

from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import C2f
from runtime.filters.filter_chain import ChainResult, check_each, check_together
from runtime.models.tiny import make_tokenizer
from runtime.text.chains import canonical_answer, parse_answer
from runtime.text.clips import Clip, polarity_of
from runtime.text.prompts import HEADINGS
from tests.support.plain_filters import Case, failing

DEFAULT = ("polarity_match", "tag_score_sign", "score_tolerance", "sections", "length", "no_label_leak",
           "modality_mention", "language", "repetition")  # fmt: skip
"""The filters that METHOD 3 has on by default."""
CHAINS, BYTES, ROUNDS = 2000, 1600, 5
FACTS = {"low": -3.0, "high": 3.0, "family": "mosi"}
WORDS = {
    "en": (  # noqa: SIM905  read as text
        "the speaker opens with plain praise and never takes it back while her eyebrows rise and the mouth curves upward "
        "voice bright rising pitch at end of each clause he leans back shakes head twice presses lips together gaze wanders "
        "to side before last sentence volume drops pace slows as plot is told short laugh between two sentences taken as a "
        "whole clues agree words carry most weight face disagrees a little so intensity stays moderate attitude favourable "
        "but not enthusiastic irony hint warm tone irritation sigh pause smile frown calm tense proud tired"
    ).split(),
    "zh": list(
        "说话人的用词明显积极没有任何抱怨或不满意思在里面她这部电影比预想要好得多语气十分真诚提到结局时略带讽刺但整体态度依然温和眉毛"
        "上扬嘴角微翘起目光一直看着镜头他向后靠了摇两次头并且紧抿住嘴唇声音明亮每个分句尾调都升描述剧情量下降速也放慢短促笑"
    ),
}


def apply_filters(results, facts, spec):
    check_each(results, facts, spec)
    check_together(results, facts, spec)


def main() -> None:
    counts = {
        language: [written(language, random.Random(n)) for n in range(CHAINS)] for language in ("en", "zh")
    }
    for language, texts in counts.items():
        size = sum(len(text.encode()) for text in texts) / len(texts)
        ours, plain = compare(language, texts)
        print(
            f"{language}: {len(texts):,} chains of {size:,.0f} bytes, all kept: {len(texts) / ours:,.0f} a second a core, "
            f"plain reading {len(texts) / plain:,.0f}: {plain / ours:.1f} times as fast, equal verdicts"
        )
        print(
            f"{language}: tokens counted, {len(texts) / counted(texts):,.0f} chains a second, all in one call"
        )


def written(language: str, draw: random.Random) -> str:
    """A chain of about 1.6 kB that passes every filter, so that none is spared its work."""
    room = BYTES - len(canonical_answer(C2f(), "positive", "\n".join(HEADINGS[language]), 1.0).encode())
    parts = []
    for n, heading in enumerate(HEADINGS[language], start=1):
        body, sentence = "", ""
        while len((body + sentence).encode()) < room / 4:
            words = draw.choices(WORDS[language], k=draw.randint(8, 16))
            body += sentence
            sentence = " ".join(words) + ". " if language == "en" else "".join(words) + "。"
        parts.append(f"{n}. {heading}{': ' if language == 'en' else '：'}{body.strip()}")
    return canonical_answer(C2f(), "positive", "\n".join(parts), 1.0)


def compare(language: str, texts: list[str]) -> tuple[float, float]:
    """Seconds of processor time, the best of rounds that take turns. The verdicts must be equal."""
    spec = Filters.model_validate({name: {} for name in DEFAULT})
    facts = FACTS | {"language": language, "tokens": {parse_answer(C2f(), text).think: 300 for text in texts}}
    clips = [
        Clip(str(n), "d", "train", "", 1.2, polarity_of(1.2, "mosi"), "", 1.0, "") for n in range(len(texts))
    ]
    cases = [Case(text, 1.2, language, -3.0, 3.0, "mosi") for text in texts]
    best = [float("inf")] * 2
    for _ in range(ROUNDS):
        started = time.process_time()
        verdicts = [
            ChainResult(clip, parse_answer(C2f(), text), text)
            for clip, text in zip(clips, texts, strict=True)
        ]
        apply_filters(verdicts, facts, spec)
        between = time.process_time()
        plain = [failing(case, 300) for case in cases]
        best = [min(best[0], between - started), min(best[1], time.process_time() - between)]
        assert [v.failed and v.failed[0] for v in verdicts] == plain == [None] * len(texts)
    return best[0], best[1]


def counted(texts: list[str]) -> float:
    """Seconds to count the student's tokens of all chains."""
    tokenizer = make_tokenizer()
    started = time.perf_counter()
    tokenizer(texts, add_special_tokens=False)
    return time.perf_counter() - started
