"""The report's page with 20,000 clips of three answers each, in headless Chromium: first paint, and each filter.

Paint is the browser's own entry `first-contentful-paint`. A filter's time is from the click until its rows are laid out;
the slowest of five is printed. Without a browser it says so.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from c2f_spec.report.cases import CaseColumn, CaseSet
from c2f_spec.report.collect import collect
from c2f_spec.report.outline import html
from tests.bench.measuring import seconds_of, temporary_folder
from tests.support.browser import browser, opened
from tests.support.report_store import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.support.browser import Tab

CLIPS = 20_000
SENTENCE = "the face voice is bright low slow words speaker smiles brows raised pause quiet pitch warm doubt"
WORDS = SENTENCE.split()
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


def chain(draw: random.Random, polarity: str, score: float) -> str:
    """Return a chain of four sections, some 900 characters."""
    parts = "\n".join(f"{n}. Clues Analysis: {' '.join(draw.choices(WORDS, k=35))}." for n in range(1, 5))
    return f"<polarity>{polarity.title()}</polarity>\n\n<think>\n{parts}\n</think>\n\n<score>{score}</score>"


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
            texts.append(chain(draw, tag, labels[i]))
        scores = tuple(round(v + draw.gauss(0, 0.5), 1) for v in labels)
        columns.append(CaseColumn(title, checkpoint, scores, right, tuple(texts)))
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
    with temporary_folder() as folder:
        store = filled(folder / "store")
        report = replace(collect(store.plan, store.objects), cases=(many(),))
        path = write_page(folder / "report.html", f"page of {CLIPS:,} clips", lambda: html(report))
        with opened(folder / "browser") as tab:
            _measure(tab, path)


def write_page(path: Path, name: str, render: Callable[[], str]) -> Path:
    """Write a page, and print its size and the time that it takes."""
    seconds = seconds_of(lambda: path.write_text(render(), encoding="utf-8"))
    print(f"{name}: {path.stat().st_size / 1e6:.1f} MB, written in {seconds:.1f} s")
    return path


def _measure(tab: Tab, path: Path) -> None:
    print_first_paint(tab, path, "#cases-view .side")
    sorts = {"words": 1, "label": 2, "error": 8}
    print_reactions(tab, ("fixed", "broken", "hard", "all"), ("smiles", "clip-19", ""), sorts)
    tab.run("const view = document.querySelector('.rows-view'); view.scrollTop = 300000")
    tab.wait("document.querySelector('.row').getAttribute('aria-rowindex') > 8000")
    print_complaints(tab)
    tab.picture("report-20000")


def print_first_paint(tab: Tab, path: Path, ready: str) -> None:
    """Open the page, and print when it is painted and when the element `ready` is there."""
    tab.open(path)
    paint = tab.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0")
    tab.wait(f"document.querySelectorAll('{ready}').length > 0")
    print(f"first paint {paint:.0f} ms; it can be used after {tab.run('performance.now()'):.0f} ms")


def print_reactions(tab: Tab, filters: Iterable[str], words: Iterable[str], sorts: dict[str, int]) -> None:
    """Print the slowest of five times of each filter, search and column."""
    for name, script in (
        *((f"filter {kind}", CLICK % kind) for kind in filters),
        *((f"search {word}", TYPE % word) for word in words),
        *((f"sort by {name}", SORT % column) for name, column in sorts.items()),
    ):
        print(f"{name}: {max(tab.run(script) for _ in range(5)):.0f} ms")


def print_complaints(tab: Tab) -> None:
    print(f"requests to any network: {len(tab.requests())}; errors: {len(tab.complaints())}")
