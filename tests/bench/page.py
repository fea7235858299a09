"""The report's page with 20,000 clips of three answers each, in headless Chromium: first paint, and each filter.

Paint is the browser's own entry `first-contentful-paint`. A filter's time is from the click until its rows are laid out;
the slowest of five is told. Without a browser it says so.
"""

from __future__ import annotations

import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from c2f_spec.report.cases import CaseSet, Column
from c2f_spec.report.collect import collect
from c2f_spec.report.outline import html
from tests.support.browser import browser, opened
from tests.support.report_store import filled

CLIPS = 20_000
WORDS = [
    "the",
    "face",
    "voice",
    "is",
    "bright",
    "low",
    "slow",
    "words",
    "speaker",
    "smiles",
    "brows",
    "raised",
    "pause",
    "quiet",
    "pitch",
    "warm",
    "doubt",
]
CLICK = """(() => {
  const button = document.querySelector('[data-kind=%s]'), start = performance.now();
  button.click();
  document.querySelector('.rows').getBoundingClientRect();
  return performance.now() - start;
})()"""
TYPE = """(() => {
  const box = document.querySelector('input[type=search]'), start = performance.now();
  box.value = '%s';
  box.dispatchEvent(new Event('input'));
  document.querySelector('.rows').getBoundingClientRect();
  return performance.now() - start;
})()"""
SORT = """(() => {
  const head = document.querySelectorAll('.rows-head button')[%s], start = performance.now();
  head.click();
  document.querySelector('.rows').getBoundingClientRect();
  return performance.now() - start;
})()"""


def many(clips: int = CLIPS) -> CaseSet:
    """Chains of four sections, some 900 characters, drawn from a few words."""
    draw = random.Random(1)
    names = ("negative", "neutral", "positive")
    labels = [round(draw.uniform(-3, 3), 1) for _ in range(clips)]
    true = [names[1 + (v > 0) - (v < 0)] for v in labels]
    columns = []
    for title, checkpoint, skill in (("zero-shot", "base", 0.5), ("SFT", "sft", 0.8), ("GRPO", "grpo", 0.85)):
        right = "".join("1" if draw.random() < skill else "0" for _ in range(clips))
        texts = []
        for i in range(clips):
            tag = true[i] if right[i] == "1" else names[draw.randrange(3)]
            parts = "\n".join(
                f"{n}. Clues Analysis: {' '.join(draw.choices(WORDS, k=35))}." for n in range(1, 5)
            )
            texts.append(
                f"<polarity>{tag.title()}</polarity>\n\n<think>\n{parts}\n</think>\n\n<score>{labels[i]}</score>"
            )
        columns.append(
            Column(
                title,
                checkpoint,
                tuple(round(v + draw.gauss(0, 0.5), 1) for v in labels),
                right,
                tuple(texts),
            )
        )
    hard = "".join(
        "1" if a != "1" and b != "1" else "0" for a, b in zip(columns[0].right, columns[1].right, strict=True)
    )
    texts = tuple(" ".join(draw.choices(WORDS, k=12)) for _ in range(clips))
    ids = tuple(f"clip-{i:05}" for i in range(clips))
    return CaseSet(
        "Test clips", False, ids, texts, tuple(labels), tuple(true), hard, tuple(columns), (0, 1, 2), (), {}
    )


def main() -> None:
    if browser() is None:
        print(
            "page: no Chromium, nothing measured (install Debian's `chromium`, or name one in C2F_CHROMIUM)"
        )
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = filled(Path(folder) / "store")
        report = replace(collect(store.plan, store.objects), cases=(many(),))
        started = time.perf_counter()
        path = Path(folder) / "report.html"
        path.write_text(html(report), encoding="utf-8")
        made = time.perf_counter() - started
        print(f"page of {CLIPS:,} clips: {path.stat().st_size / 1e6:.1f} MB, written in {made:.1f} s")
        with opened(Path(folder) / "browser") as tab:
            _measured(tab, path)


def _measured(tab, path: Path) -> None:
    tab.open(path)
    paint = tab.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0")
    tab.wait("document.querySelectorAll('#cases-view .side').length > 0")
    ready = tab.run("performance.now()")
    print(f"first paint {paint:.0f} ms; the cases can be used after {ready:.0f} ms")
    for name, script in (
        *((f"filter {kind}", CLICK % kind) for kind in ("fixed", "broken", "hard", "all")),
        *((f"search {word}", TYPE % word) for word in ("smiles", "clip-19", "")),
        ("sort by words", SORT % 1),
        ("sort by label", SORT % 2),
        ("sort by error", SORT % 8),
    ):
        print(f"{name}: {max(tab.run(script) for _ in range(5)):.0f} ms")
    tab.run("const view = document.querySelector('.rows-view'); view.scrollTop = 300000")
    tab.wait("document.querySelector('.row').getAttribute('aria-rowindex') > 8000")
    print(f"asked of any network: {len(tab.requests())} requests; errors: {len(tab.complaints())}")
    tab.picture("report-20000")
