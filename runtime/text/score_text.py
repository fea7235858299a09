"""Read the number that a text says, as a person reads it (METHOD 2.4); what a person reads otherwise is no number."""

from __future__ import annotations

import math
import re

NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
"""A number in ASCII digits, as the format has it. Any white space may surround it, also that of Chinese text."""
SIGNS = str.maketrans({"\u2212": "-", "\uff0d": "-", "\uff0b": "+"})
"""Minus and plus signs that models write instead of ASCII, and that the format accepts."""
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
TO_ASCII = str.maketrans(
    dict.fromkeys(DASHES, "-")
    | {"\uff0b": "+", "\uff0e": ".", "\uff05": "%"}
    | {chr(0xFF10 + digit): str(digit) for digit in range(10)}
)
WRITTEN = re.compile(
    r"(?<![0-9A-Za-z_.,:/+\-±≤≥])"
    r"(?P<sign>(?:[+-]|minus|plus|负|正)[\s*]*)?"
    r"(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)"
    r"(?![0-9A-Za-z_]|[.,:/+-]\.?[0-9]|-[A-Za-z]|\s*(?:[%‰万千百十亿]|percent))",
    re.IGNORECASE,
)
"""A number that stands for itself: no part of a word, range, fraction, date, version or percentage."""
NEGATIVE = ("-", "minus", "负")
NEGATIVE_WORDS = ("negative", "负面", "负向", "消极")
"""A number right behind one of these may mean either sign, so it is not read."""
LONGEST_WORD = 16
"""Characters in which such a word is looked for."""


def numbers_in(text: str) -> set[float]:
    """Return the different finite numbers that `text` says; -0.0 is 0.0."""
    text = text.translate(TO_ASCII)
    found: set[float] = set()
    for match in WRITTEN.finditer(text):
        sign = (match["sign"] or "").rstrip("* \t\n").lower()
        before = text[max(0, match.start() - LONGEST_WORD) : match.start()].rstrip(" *").lower()
        if not before.endswith(NEGATIVE_WORDS):
            number = float(match["number"]) * (-1 if sign in NEGATIVE else 1)
            found.add(number + 0.0)
    return {number for number in found if math.isfinite(number)}
