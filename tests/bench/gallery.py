"""`data show` with 10,000 clips: how long the page is made, its size, and first paint, filters and sorting in headless
Chromium. Every clip has a picture, a sound, a chain of some 900 characters and an outcome. Without a browser it says so.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from c2f_spec.report.gallery import ChainOutcome, Gallery, GallerySet, thumbnails
from c2f_spec.report.html import render
from c2f_spec.report.page_data import gallery_document
from tests.bench.measuring import temporary_folder
from tests.bench.page import WORDS, chain, print_complaints, print_first_paint, print_reactions, write_page
from tests.support.browser import browser, opened
from tests.support.odd_clips import film

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Tab

CLIPS = 10_000
DRAWN = 200
"""Files that are drawn; their pictures are those of all."""
FILTERS = ("format", "polarity_match", "tag_score_sign", "score_tolerance", "length", "no_label_leak")


def many(folder: Path) -> tuple[Gallery, float]:
    """Return a gallery, and the seconds that the thumbnail of a clip takes."""
    draw = random.Random(1)
    files = [folder / f"{i}.mp4" for i in range(DRAWN)]
    for i, file in enumerate(files):
        film(file, side=(360, 640), count=4, seed=i)
    began = time.perf_counter()
    drawn = list(thumbnails(files))
    each = (time.perf_counter() - began) / DRAWN
    clips, chains, outcomes = [], [], []
    for i in range(CLIPS):
        label = round(draw.uniform(-3, 3), 1)
        polarity = ("negative", "neutral", "positive")[1 + (label > 0) - (label < 0)]
        clips.append(
            {"id": f"clip-{i:05}", "text": " ".join(draw.choices(WORDS, k=12)), "label": label, "polarity": polarity,
             "split": "train", "duration_s": round(draw.uniform(1, 9), 2)}
        )  # fmt: skip
        chains.append(chain(draw, polarity, label))
        kept = draw.random() < 0.7
        outcomes.append(
            ChainOutcome("kept") if kept else ChainOutcome("dropped", draw.choice(FILTERS), f"score {label}")
        )
    pictures = tuple(drawn[i % DRAWN] for i in range(CLIPS))
    clip_set = GallerySet("drawn", False, tuple(clips), tuple(chains), tuple(outcomes), pictures)
    return Gallery("many", FILTERS, (clip_set,), ()), each


def main() -> None:
    if browser() is None:
        print(
            "gallery: no Chromium, nothing measured (install Debian's `chromium`, or name one in C2F_CHROMIUM)"
        )
        return
    with temporary_folder() as folder:
        gallery, seconds = many(folder)
        name, document = f"gallery of {CLIPS:,} clips", gallery_document(gallery)
        path = write_page(folder / "clips.html", name, lambda: render(document))
        print(f"thumbnail of a clip: {1000 * seconds:.1f} ms")
        with opened(folder / "browser") as tab:
            _measure(tab, path)


def _measure(tab: Tab, path: Path) -> None:
    print_first_paint(tab, path, ".case-head img")
    sorts = {"words": 1, "label": 3, "outcome": 5}
    print_reactions(tab, ("kept", "dropped", "all"), ("smiles", "clip-09", ""), sorts)
    tab.run("document.querySelector('.rows-view').scrollTop = 200000")
    tab.wait("document.querySelector('.row').getAttribute('aria-rowindex') > 5000")
    opening = """(async () => {
      const start = performance.now(), before = document.querySelector('.facts').textContent;
      document.querySelectorAll('.row')[9].click();
      while (document.querySelector('.facts').textContent === before) await new Promise((r) => setTimeout(r, 1));
      return performance.now() - start;
    })()"""
    print(f"opening a clip far down: {tab.run(opening):.0f} ms")
    print_complaints(tab)
    tab.picture("gallery-10000")
