"""The cases on the page: an empty place with the data beside it, which `cases.js` fills when it is looked at."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from c2f_spec.report.markup import Html, block, clean, el

if TYPE_CHECKING:
    from c2f_spec.report.cases import CaseSet

CHUNK = 200
"""Clips whose answers are one block: what is unpacked when somebody opens a clip."""
SCRIPTS = ("rows.js", "clip.js", "figures.js", "cases.js")
STYLES = ("rows.css", "cases.css")
ABOUT = (
    "Every clip with what each model answered, as in the paper's Figure 4. Fixed by RL: the answer before was not right, "
    "the one after is; broken, the other way round. Was hard: no model before RL was right (test clips), or a visit in "
    "training found it so. Right is the polarity. Of several seeds, the first."
)


def cases(sets: tuple[CaseSet, ...]) -> list[Html]:
    """The place for them; the data goes to the end of the page (`blocks`)."""
    if not sets:
        return []
    need = el(
        "noscript",
        el("p", "This part needs scripts; the page's own is the only one that may run.", class_="about"),
    )
    return [el("h2", "Cases", id="cases"), el("p", ABOUT, class_="about"), need, el("div", id="cases-view")]


def blocks(sets: tuple[CaseSet, ...]) -> list[Html]:
    """The list of sets, and of each its index, its answers in chunks, and its pictures."""
    made = [block("cases-list", [_told(s) for s in sets])] if sets else []
    for k, found in enumerate(sets):
        made.append(block(f"cases-{k}", _index(found)))
        for start in range(0, len(found.ids), CHUNK):
            part = [[clean(text) for text in c.outputs[start : start + CHUNK]] for c in found.columns]
            made.append(block(f"cases-{k}-{start // CHUNK}", part))
        seen = {str(i): [_base64(g.jpeg), _base64(g.wave), g.problem] for i, g in found.glimpses.items()}
        made.append(block(f"cases-{k}-seen", seen))
    return made


def _told(found: CaseSet) -> dict[str, Any]:
    return {
        "title": found.title,
        "training": found.training,
        "n": len(found.ids),
        "chunk": CHUNK,
        "columns": [clean(c.title) for c in found.columns],
        "trio": list(found.trio),
        "left": [clean(title) for title in found.left_out],
    }


def _index(found: CaseSet) -> dict[str, Any]:
    return {
        "id": [clean(i) for i in found.ids],
        "text": [clean(text) for text in found.texts],
        "label": list(found.labels),
        "polarity": list(found.polarities),
        "hard": found.hard,
        "score": [list(c.scores) for c in found.columns],
        "right": [c.right for c in found.columns],
    }


def _base64(data: bytes | None) -> str:
    return base64.b64encode(data or b"").decode()
