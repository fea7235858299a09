"""The gallery as one page that needs no server: a table of all clips, and the one that is chosen.

Everything is in the file. What every clip needs for sorting and filtering is one block; chains and pictures are blocks
of `CHUNK` clips, which are unpacked when one of them is looked at.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from c2f_spec.report.gallery import answered, label_of
from c2f_spec.report.markup import STYLES, Html, block, clean, el, page
from c2f_spec.report.page_cases import STYLES as CASES

if TYPE_CHECKING:
    from c2f_spec.report.gallery import Gallery, Shown

CHUNK = 100
SCRIPTS = ("rows.js", "clip.js", "gallery.js")
ABOUT = (
    "Every clip with its first picture, the loudness of its sound, what is said, its label, the chain that the teacher wrote, "
    "and what each filter said of it. Filters run in their order, and a chain is dropped by the first that it fails."
)
RENDERED = "Voice and face of this data set are drawn from the rating; words and ratings are human."


def html(found: Gallery) -> str:
    """The page; equal galleries give equal bytes."""
    body: list[Html | None] = [
        el("h1", f"Clips of {found.name}"),
        el("p", ABOUT, class_="about"),
        *(el("p", f"Not shown: {line}.", class_="note") for line in found.missing),
        el(
            "noscript",
            el("p", "This page needs scripts; its own is the only one that may run.", class_="about"),
        ),
        el("div", id="gallery"),
        block("sets", {"filters": list(found.filters), "sets": [_told(one) for one in found.sets]}),
    ]
    for k, one in enumerate(found.sets):
        body.append(block(f"index-{k}", _index(one, found)))
        starts = range(0, len(one.clips), CHUNK)
        body += [block(f"clips-{k}-{start // CHUNK}", _chunk(one, found, start)) for start in starts]
    return page(f"Clips of {found.name}", body, scripts=SCRIPTS, styles=(*STYLES, *CASES))


def _told(one: Shown) -> dict[str, Any]:
    title = clean(one.name)
    return {"title": title, "n": len(one.clips), "chunk": CHUNK, "note": RENDERED if one.rendered else ""}


def _index(one: Shown, found: Gallery) -> dict[str, Any]:
    """What the table sorts and filters by, column by column."""
    names = [*found.filters, *dict.fromkeys(v.filter for v in one.verdicts if v.filter not in found.filters)]
    return {
        "id": [clean(str(c.get("id", ""))) for c in one.clips],
        "text": [clean(str(c.get("text", ""))) for c in one.clips],
        "split": [clean(str(c.get("split", ""))) for c in one.clips],
        "polarity": [clean(str(c.get("polarity", ""))) for c in one.clips],
        "label": [label_of(c) for c in one.clips],
        "seconds": [c.get("duration_s") for c in one.clips],
        "lacks": [" ".join(map(str, c.get("lacks", ()))) for c in one.clips],
        "state": [v.state for v in one.verdicts],
        "filter": [names.index(v.filter) for v in one.verdicts],
        "filters": [clean(name) for name in names],
        "reason": [clean(v.reason) for v in one.verdicts],
        "flags": [len(v.flags) for v in one.verdicts],
    }


def _chunk(one: Shown, found: Gallery, start: int) -> list[list[Any]]:
    """Picture, sound, problem, chain, and what each filter said."""
    places = range(start, min(start + CHUNK, len(one.clips)))
    return [
        [
            _base64(one.glimpses[i].jpeg),
            _base64(one.glimpses[i].wave),
            one.glimpses[i].problem,
            clean(one.chains[i]),
            [[clean(word) for word in told] for told in answered(one.verdicts[i], found.filters)],
        ]
        for i in places
    ]


def _base64(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()
