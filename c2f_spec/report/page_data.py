"""The data blocks that the scripts of a page read: `cases.js` those of a report, `gallery.js` those of `data show`.

An index holds what every clip needs for sorting and filtering, column by column. Answers, chains and pictures are in
chunks, each of which the browser unpacks when a person looks at one of its clips.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

from c2f_spec.metrics.answers import finite
from c2f_spec.report.blocks import Block, Document, Interactive, Note, Paragraph
from c2f_spec.report.gallery import filter_outcomes
from c2f_spec.report.markup import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from c2f_spec.report.cases import CaseSet
    from c2f_spec.report.gallery import Gallery, GallerySet
    from c2f_spec.report.thumbnails import Thumbnail

CASES_SCRIPTS = ("rows.js", "clip.js", "cases.js")
GALLERY_SCRIPTS = ("rows.js", "clip.js", "gallery.js")
CASES_CHUNK = 200
GALLERY_CHUNK = 100
"""Clips in one block."""
ABOUT = (
    "Every clip with its first picture, the loudness of its sound, what is said, its label, the chain that the teacher wrote, "
    "and what each filter decided. Filters run in their order, and a chain is dropped by the first that it fails."
)
RENDERED = "Voice and face of this data set are drawn from the rating; words and ratings are human."


def case_blocks(sets: Sequence[CaseSet]) -> Iterator[tuple[str, Any]]:
    """Yield the list of sets; then of each set its index, its answers in chunks, and its pictures."""
    yield "cases-list", [_case_set(one) for one in sets]
    for k, one in enumerate(sets):
        yield (
            f"cases-{k}",
            {
                "id": _cleaned(one.ids),
                "text": _cleaned(one.texts),
                "label": list(one.labels),
                "polarity": list(one.polarities),
                "hard": one.hard,
                "score": [list(c.scores) for c in one.columns],
                "right": [c.right for c in one.columns],
            },
        )
        for start in range(0, len(one.ids), CASES_CHUNK):
            part = [_cleaned(c.outputs[start : start + CASES_CHUNK]) for c in one.columns]
            yield f"cases-{k}-{start // CASES_CHUNK}", part
        yield f"cases-{k}-thumbnails", {str(i): _thumbnail(t) for i, t in one.thumbnails.items()}


def _case_set(one: CaseSet) -> dict[str, Any]:
    return {
        "title": one.title,
        "training": one.training,
        "n": len(one.ids),
        "chunk": CASES_CHUNK,
        "columns": _cleaned(c.title for c in one.columns),
        "trio": list(one.trio),
        "left": _cleaned(one.left_out),
    }


def gallery_document(gallery: Gallery) -> Document:
    """Describe the page of `data show`: all clips of each data set, with chains and what the filters did."""
    missing = tuple(f"Not shown: {line}." for line in gallery.missing)
    blocks: list[Block] = [Paragraph(ABOUT, "about"), *([Note(missing)] if missing else [])]
    place = Interactive("gallery", GALLERY_SCRIPTS, partial(_gallery_blocks, gallery))
    return Document(f"Clips of {gallery.name}", (*blocks, place))


def _gallery_blocks(gallery: Gallery) -> Iterator[tuple[str, Any]]:
    sets = [
        {
            "title": clean(one.name),
            "n": len(one.clips),
            "chunk": GALLERY_CHUNK,
            "note": RENDERED if one.rendered else "",
        }
        for one in gallery.sets
    ]
    yield "sets", {"filters": list(gallery.filters), "sets": sets}
    for k, one in enumerate(gallery.sets):
        yield f"index-{k}", _gallery_index(one, gallery)
        for start in range(0, len(one.clips), GALLERY_CHUNK):
            yield f"clips-{k}-{start // GALLERY_CHUNK}", _gallery_chunk(one, gallery, start)


def _gallery_index(one: GallerySet, gallery: Gallery) -> dict[str, Any]:
    others = (c.filter for c in one.outcomes if c.filter not in gallery.filters)
    names = [*gallery.filters, *dict.fromkeys(others)]
    return {
        "id": _cleaned(str(c.get("id", "")) for c in one.clips),
        "text": _cleaned(str(c.get("text", "")) for c in one.clips),
        "split": _cleaned(str(c.get("split", "")) for c in one.clips),
        "polarity": _cleaned(str(c.get("polarity", "")) for c in one.clips),
        "label": [finite(c.get("label")) for c in one.clips],
        "seconds": [c.get("duration_s") for c in one.clips],
        "lacks": [" ".join(map(str, c.get("lacks", ()))) for c in one.clips],
        "state": [c.state for c in one.outcomes],
        "filter": [names.index(c.filter) for c in one.outcomes],
        "filters": _cleaned(names),
        "reason": _cleaned(c.reason for c in one.outcomes),
        "flags": [len(c.flags) for c in one.outcomes],
    }


def _gallery_chunk(one: GallerySet, gallery: Gallery, start: int) -> list[list[Any]]:
    """Return picture, sound, problem, chain, and what each filter decided, of each clip of a chunk."""
    places = range(start, min(start + GALLERY_CHUNK, len(one.clips)))
    return [
        [
            *_thumbnail(one.thumbnails[i]),
            clean(one.chains[i]),
            [_cleaned(outcome) for outcome in filter_outcomes(one.outcomes[i], gallery.filters)],
        ]
        for i in places
    ]


def _thumbnail(thumbnail: Thumbnail) -> list[str]:
    return [
        *(base64.b64encode(data or b"").decode() for data in (thumbnail.jpeg, thumbnail.wave)),
        thumbnail.no_picture,
    ]


def _cleaned(texts: Iterable[str]) -> list[str]:
    return [clean(text) for text in texts]
