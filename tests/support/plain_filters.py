"""The filters as METHOD 3 reads, each definition written down with no thought of speed: what the real ones are held to.

Imports nothing of `runtime`: patterns, headings and the grammar are METHOD's, typed again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WORD = {"negative": "negative", "neutral": "neutral", "positive": "positive", "消极": "negative", "负面": "negative",
        "中性": "neutral", "积极": "positive", "正面": "positive"}  # fmt: skip
NUM = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)"
LEAK = (
    r"(?i)ground[- ]?truth|\blabel(?:l?ed|s)?\b|annotat|given (?:polarity|score)|as instructed|真实(?:标签|值)"
    r"|标签(?:为|是)|标注(?:为|结果)"
)
SCOREWORD = r"(?i)score|得分|分数|评分"
DENIAL = (
    r"(?i)(?:no|not|cannot|can't) (?:\w+ ){0,3}(?:audio|video|visual|sound|see|hear)[^.]{0,40}"
    r"(?:provided|available|given|access)|无法(?:观看|看到|听到|获取)|(?:没有|未)提供(?:视频|音频)"
)
CJK = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
HEADINGS = (
    ["Dialogue Content Clues Analysis", "Visual Clues Analysis", "Audio Clues Analysis", "Mixed Clues Comprehensive Analysis"],
    ["对话内容线索分析", "视觉线索分析", "音频线索分析", "混合线索综合分析"],
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A chain, its clip and what it is judged by."""

    text: str
    label: float
    language: str
    low: float
    high: float
    family: str
    said: str = ""


def polarity(score, family):
    if family == "sims":
        return "negative" if score <= -0.1 else "neutral" if score <= 0.1 else "positive"
    return "negative" if score < 0 else "neutral" if score == 0 else "positive"


def read(text):
    """Polarity, think and score of the strict grammar 1.3; `None` if the text is not exactly that."""
    text = text.replace("\u2212", "-").replace("\uff0d", "-").replace("\uff0b", "+")
    grammar = rf"\A\s*<polarity>([^<]*)</polarity>\s*<think>(.+?)</think>\s*<score>\s*({NUM})\s*</score>\s*\Z"
    found = re.match(grammar, text, re.DOTALL | re.ASCII)
    tags = [f"<{slash}{name}>" for name in ("polarity", "think", "score") for slash in ("", "/")]
    if not found or any(text.count(tag) != 1 for tag in tags):
        return None
    word, think, score = found.group(1).strip().lower(), found.group(2).strip(), float(found.group(3))
    if word not in WORD or not think or score in (float("inf"), float("-inf")):
        return None
    return WORD[word], think, score


def heading(n, name):
    """A number with the words of a part, each perhaps in bold, with or without a point between them."""
    return rf"(?<![0-9A-Za-z])(?<![0-9]\.)({n})[*#_]*[.、．]?[\s*#_]*({name})"


def sections(think):
    """Bodies of the four sections, at lines or inline; `None` if one is not there once or they are out of order."""
    names = max(HEADINGS, key=lambda each: sum(name in think for name in each))
    marks = []
    for n, name in enumerate(names, start=1):
        found = list(re.finditer(heading(n, name), think))
        opening = [m for m in found if re.search(r"(?:\A|\n)[\s*#_]*\Z", think[: m.start()])]
        found = opening or found
        if len(found) != 1:
            return None
        marks.append((found[0].start(1), found[0].end(2)))
    if marks != sorted(marks):
        return None
    ends = [len(re.sub(r"[\s*#_]+\Z", "", think[:start])) for start, _ in marks[1:]] + [len(think)]
    bodies = [think[a:b].strip() for (_, a), b in zip(marks, ends, strict=True)]
    return [re.sub(r"\A[*#_]*[:：][*#_]*", "", body).strip() for body in bodies]


def quotes_a_score(think, low, high):
    """A SCOREWORD within 12 characters of a NUM in the range; a section's own number is not a score."""
    for names in HEADINGS:
        for n, name in enumerate(names, start=1):
            think = re.sub(heading(n, name), lambda found: "#" + found[0][1:], think)
    for word in re.finditer(SCOREWORD, think):
        for number in re.finditer(NUM, think):
            apart = max(word.start() - number.end(), number.start() - word.end())
            if apart <= 12 and low <= float(number.group()) <= high:
                return True
    return False


def share_of_letters(think, language):
    letters = re.findall(rf"{CJK}|[^\W\d_]", think)
    wanted = re.findall(CJK if language == "zh" else "[A-Za-z]", think)
    return len(wanted) / len(letters) if letters else 0.0


def repeated(think, language, n=4):
    words = think.lower().split()
    units = list("".join(words)) if language == "zh" else words
    grams = [tuple(units[i : i + n]) for i in range(len(units) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def failing(case, tokens, max_fraction=0.2, least=60, most=512):
    """Name of the first filter of the default set that the chain fails, in METHOD's order; `None` if it is kept."""
    answer = read(case.text)
    if answer is None:
        return "format"
    tag, think, score = answer
    if tag != polarity(case.label, case.family):
        return "polarity_match"
    if tag != polarity(score, case.family):
        return "tag_score_sign"
    if abs(score - case.label) > max_fraction * (case.high - case.low) + 1e-9:
        return "score_tolerance"
    bodies = sections(think)
    if bodies is None or any(len(body) < 20 for body in bodies):
        return "sections"
    if not least <= tokens <= most:
        return "length"
    if re.search(LEAK, think) or quotes_a_score(think, case.low, case.high):
        return "no_label_leak"
    if any(re.search(DENIAL, body) for body in bodies[:3]):
        return "modality_mention"
    if share_of_letters(think, case.language) < 0.7:
        return "language"
    return "repetition" if repeated(think, case.language) > 0.25 else None
