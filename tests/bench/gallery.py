"""`data show` with 10,000 clips: how long the page is made, its size, and first paint, filters and sorting in headless
Chromium. Every clip has a picture, a sound, a chain of some 900 characters and an outcome. Without a browser it says so.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from c2f_spec.report.gallery import ChainOutcome, Gallery, GallerySet, thumbnails
from c2f_spec.report.html import render
from c2f_spec.report.page_data import gallery_document
from tests.bench.page import SORT, TYPE, WORDS
from tests.support.browser import browser, opened
from tests.support.odd_clips import film

CLIPS = 10_000
DRAWN = 200
"""Files that are drawn and looked at; their pictures are those of all."""
FILTERS = ("format", "polarity_match", "tag_score_sign", "score_tolerance", "length", "no_label_leak")
PRESS = """(() => {
  const button = document.querySelector('[data-kind=%s]'), start = performance.now();
  button.click();
  document.querySelector('.rows').getBoundingClientRect();
  return performance.now() - start;
})()"""


def many(folder: Path) -> tuple[Gallery, float]:
    """And the seconds that a look at a clip takes."""
    draw = random.Random(1)
    files = [folder / f"{i}.mp4" for i in range(DRAWN)]
    for i, file in enumerate(files):
        film(file, side=(360, 640), count=4, seed=i)
    began = time.perf_counter()
    seen = list(thumbnails(files))
    each = (time.perf_counter() - began) / DRAWN
    clips, chains, outcomes = [], [], []
    for i in range(CLIPS):
        label = round(draw.uniform(-3, 3), 1)
        polarity = ("negative", "neutral", "positive")[1 + (label > 0) - (label < 0)]
        clips.append(
            {"id": f"clip-{i:05}", "text": " ".join(draw.choices(WORDS, k=12)), "label": label, "polarity": polarity,
             "split": "train", "duration_s": round(draw.uniform(1, 9), 2)}
        )  # fmt: skip
        parts = "\n".join(f"{n}. Clues Analysis: {' '.join(draw.choices(WORDS, k=35))}." for n in range(1, 5))
        chains.append(
            f"<polarity>{polarity.title()}</polarity>\n\n<think>\n{parts}\n</think>\n\n<score>{label}</score>"
        )
        kept = draw.random() < 0.7
        outcomes.append(
            ChainOutcome("kept") if kept else ChainOutcome("dropped", draw.choice(FILTERS), f"score {label}")
        )
    pictures = tuple(seen[i % DRAWN] for i in range(CLIPS))
    shown = GallerySet("drawn", False, tuple(clips), tuple(chains), tuple(outcomes), pictures)
    return Gallery("many", FILTERS, (shown,), ()), each


def main() -> None:
    if browser() is None:
        print(
            "gallery: no Chromium, nothing measured (install Debian's `chromium`, or name one in C2F_CHROMIUM)"
        )
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        found, each = many(folder)
        began = time.perf_counter()
        path = folder / "clips.html"
        path.write_text(render(gallery_document(found)), encoding="utf-8")
        made = time.perf_counter() - began
        print(f"gallery of {CLIPS:,} clips: {path.stat().st_size / 1e6:.1f} MB, written in {made:.1f} s")
        print(f"a look at a clip: {1000 * each:.1f} ms")
        with opened(folder / "browser") as tab:
            _measured(tab, path)


def _measured(tab, path: Path) -> None:
    tab.open(path)
    paint = tab.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0")
    tab.wait("document.querySelectorAll('.case-head img').length > 0")
    print(f"first paint {paint:.0f} ms; a clip is shown after {tab.run('performance.now()'):.0f} ms")
    for what, script in (
        *((f"filter {kind}", PRESS % kind) for kind in ("kept", "dropped", "all")),
        *((f"search {word}", TYPE % word) for word in ("smiles", "clip-09", "")),
        ("sort by words", SORT % 1),
        ("sort by label", SORT % 3),
        ("sort by outcome", SORT % 5),
    ):
        print(f"{what}: {max(tab.run(script) for _ in range(5)):.0f} ms")
    tab.run("document.querySelector('.rows-view').scrollTop = 200000")
    tab.wait("document.querySelector('.row').getAttribute('aria-rowindex') > 5000")
    opening = """(async () => {
      const start = performance.now(), before = document.querySelector('.facts').textContent;
      document.querySelectorAll('.row')[9].click();
      while (document.querySelector('.facts').textContent === before) await new Promise((r) => setTimeout(r, 1));
      return performance.now() - start;
    })()"""
    print(f"opening a clip far down: {tab.run(opening):.0f} ms")
    print(f"asked of any network: {len(tab.requests())} requests; errors: {len(tab.complaints())}")
    tab.picture("gallery-10000")
