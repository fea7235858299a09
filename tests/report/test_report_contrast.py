"""Words of the pages can be read: their colours against what they stand on, in light and in dark (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import pairwise

import pytest

from c2f_spec.report import charts
from c2f_spec.report.report_data import Shift

WORDS = ("ink", "soft", "c1", "c2", "c3", "c4", "c5", "warn")
LEAST = 4.5
STYLE = files("c2f_spec.report").joinpath("page.css").read_text(encoding="utf-8")
SCHEMES = [
    dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
]


def light(colour):
    parts = [v / 255 for v in colour]
    red, green, blue = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def parts(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def contrast(one, other):
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
def test_words_can_be_read_on_the_page_and_in_boxes(scheme):
    poor = [
        (word, ground)
        for word in WORDS
        for ground in ("ground", "raised")
        if contrast(parts(scheme[word]), parts(scheme[ground])) < LEAST
    ]
    assert not poor


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
@pytest.mark.parametrize("hundredths", range(0, 101, 5))
def test_counts_can_be_read_on_their_cell(scheme, hundredths):
    """Cells of a confusion matrix are the fuller, the larger their share of the row. Counts are large and short."""
    opacity, style = charts.shade(hundredths / 100)
    word = parts(scheme["on" if style == "on" else "ink"])
    for colour in ("c2", "c3"):
        cell = [
            opacity * a + (1 - opacity) * b
            for a, b in zip(parts(scheme[colour]), parts(scheme["ground"]), strict=True)
        ]
        assert contrast(word, cell) > 3.5


def test_names_of_points_that_lie_together_do_not():
    together = [
        Shift("demo", name, 0.83 + i / 100, 0.75, 0.7, 0.6, 3)
        for i, name in enumerate(("sft", "grpo", "more"))
    ]
    drawn = charts.shift_chart([Shift("demo", "base", 0.0, 0.0, 0.1, 0.1, 3), *together])
    lines = sorted(float(y) for y in re.findall(r'y="([\d.]+)"[^>]*class="name"', drawn))
    assert len(lines) == 4
    assert min(b - a for a, b in pairwise(lines[:3])) >= charts.NAME
