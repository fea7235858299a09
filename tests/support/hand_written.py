"""The hand-written chains of tests/data/chains with the verdicts that are expected, read for tests.

An entry has `text` (a whole answer), or `answer` (polarity and score) with `think` or the four `parts`, or only `with`:
parts that replace those of the good chain below. `fails` has each filter that the chain must fail and a piece of the
reason; every other filter must pass it. Chinese ids are of clips of `sims`, others of `mosi`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from c2f_spec.spec.filters import Filters
from c2f_spec.spec.sections import C2f
from runtime.filters import FILTERS
from runtime.filters.outcome import Chain
from runtime.text.chains import canonical_answer, parse_answer
from runtime.text.clips import Clip, polarity_of
from runtime.text.prompts import HEADINGS

FOLDER = Path(__file__).parents[1] / "data" / "chains"
FACTS = {
    "en": {"low": -3.0, "high": 3.0, "family": "mosi", "language": "en"},
    "zh": {"low": -1.0, "high": 1.0, "family": "sims", "language": "zh"},
}
GOOD = {
    "en": {
        "said": "i would see it again any day",
        "label": 1.6,
        "answer": "positive 1.6",
        "parts": [
            'Wanting to see it "again any day" is praise, put as a wish.',
            "A smile that reaches the eyes, and a nod at the end of it.",
            "The voice is warm and rises a little on the last two words.",
            "Words, face and voice agree on a clear and lasting liking.",
        ],
    },
    "zh": {
        "said": "这家店的服务真不错",
        "label": 0.6,
        "answer": "positive 0.6",
        "parts": [
            "他夸这家店的服务“真不错”，用词直接，没有任何保留。",
            "说话时面带微笑，目光柔和，还冲店员点了点头致意。",
            "语调轻快，句尾上扬，听上去心情十分舒畅，没有迟疑。",
            "文字、表情和声音三方面一致，态度是明确的满意。",
        ],
    },
}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    language: {name: {} for name in FILTERS}
    | {"length": {"unit": "words", "min": 25, "max": 200}, "sections": {"min_chars": least}}
    for language, least in (("en", 20), ("zh", 10))
}
"""Ten Chinese characters say as much as twenty letters; and these chains are shorter than a teacher's."""


@dataclass(frozen=True)
class Entry:
    """A chain, and the filters that it must fail with a piece of each reason."""

    name: str
    language: str
    said: str
    label: float
    text: str
    settings: dict[str, Any]
    fails: dict[str, str]

    def verdicts(self) -> dict[str, str]:
        """Each filter that the chain fails by itself, and why; the format alone if it fails that."""
        spec = Filters.model_validate({**SETTINGS[self.language], **self.settings})
        facts = FACTS[self.language]
        polarity = polarity_of(self.label, facts["family"])
        clip = Clip(self.name, "d", "train", self.said, self.label, polarity, "", 1.0, "")
        answer = parse_answer(C2f(), self.text)
        names = FILTERS if answer.well_formed else ("format",)
        found = {n: FILTERS[n](Chain(answer, clip, facts), getattr(spec, n)) for n in names}
        return {name: failed.reason for name, failed in found.items() if failed is not None}


@cache
def entries() -> tuple[Entry, ...]:
    files = (path for path in sorted(FOLDER.glob("*.yaml")) if path.stem != "pairs")
    return tuple(_entry(row) for path in files for row in yaml.safe_load(path.read_text(encoding="utf-8")))


def pairs() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / "pairs.yaml").read_text(encoding="utf-8"))
    return found


def _entry(row: dict[str, Any]) -> Entry:
    language = "zh" if re.search("[\u4e00-\u9fff]", row["id"]) else "en"
    if "with" in row:
        good = GOOD[language]
        parts = [row["with"].get(n, part) for n, part in enumerate(good["parts"], start=1)]
        row = good | row | {"parts": parts}
    text = row["text"] if "text" in row else _written(row, language)
    said, label = row.get("said", ""), float(row["label"])
    return Entry(row["id"], language, said, label, text, row.get("settings", {}), row.get("fails", {}))


def _written(row: dict[str, Any], language: str) -> str:
    polarity, score = row["answer"].split()
    colon = ": " if language == "en" else "："
    lines = zip(HEADINGS[language], row.get("parts", ()), strict=False)
    think = row.get("think") or "\n".join(f"{n}. {h}{colon}{p}" for n, (h, p) in enumerate(lines, start=1))
    return canonical_answer(C2f(), polarity, think, float(score))
